"""Captioned pictures for the text-conditioned stage: whole pictures, and five sentence vectors each.

Caption vectors are made once by the frozen text encoder and kept beside the run in a cache folder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shared.text.registry import get_text_encoder
from training.data import decoded

__all__ = ["CAPTIONS", "CaptionedPictures"]

#: Captions a picture; a picture with fewer repeats its own.
CAPTIONS = 5
ENCODE_CHUNK = 250


@dataclass(frozen=True)
class CaptionedPictures:
    """Pictures of one size with what was said of them.

    Attributes:
        pictures: (N, H, W, 3) uint8.
        vectors: (N, 5, D) float16 sentence vectors.
        digest: hash over pictures and captions, as files hold them.
    """

    pictures: NDArray[np.uint8]
    vectors: NDArray[np.float16]
    digest: str

    def __len__(self) -> int:
        return len(self.pictures)

    @classmethod
    def load(
        cls, folder: Path, pattern: str, cache: Path, text_encoder: str, workers: int
    ) -> CaptionedPictures:
        """Read every captioned picture of the Parquet files that match; all must have one size.

        Raises:
            FileNotFoundError: the pattern matches no file.
        """
        paths = sorted(folder.glob(pattern))
        if not paths:
            raise FileNotFoundError(f"no training data: {folder / pattern} matches no file")
        digest = hashlib.sha256()
        encoded: list[bytes] = []
        captions: list[str] = []
        for path in paths:
            for row in pq.read_table(path, columns=["image", "captions"]).to_pylist():
                if not row["captions"]:
                    continue
                own = [row["captions"][i % len(row["captions"])] for i in range(CAPTIONS)]
                digest.update(row["image"])
                digest.update("\n".join(own).encode())
                encoded.append(row["image"])
                captions.extend(own)
        pictures = np.stack(decoded(encoded, workers))
        name = digest.hexdigest()[:16]
        vectors = _vectors(captions, cache, text_encoder, name)
        return cls(pictures, vectors.reshape(len(encoded), CAPTIONS, -1), name)


def _vectors(captions: list[str], cache: Path, text_encoder: str, name: str) -> NDArray[np.float16]:
    encoder = get_text_encoder(text_encoder)
    path = cache / f"captions-{name}-{encoder.id.replace(':', '-')}.npy"
    if path.exists():
        cached: NDArray[np.float16] = np.load(path)
        return cached
    chunks = [
        encoder.encode(captions[start : start + ENCODE_CHUNK]).sentence.numpy().astype(np.float16)
        for start in range(0, len(captions), ENCODE_CHUNK)
    ]
    vectors = np.concatenate(chunks)
    cache.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
    return vectors
