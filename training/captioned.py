"""Captioned pictures for the text-conditioned stage: whole pictures, and features of five captions each.

Features are made once by the frozen text encoder and kept beside the run in a cache folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shared.networks.precision import default_device
from shared.text.interface import TextFeatures
from shared.text.registry import get_text_encoder
from training.data import decoded, matching

__all__ = ["CAPTIONS", "CaptionedPictures", "Words", "captioned_rows", "repeated"]

#: Captions a picture; a picture with fewer repeats its own.
CAPTIONS = 5
#: Words of a caption that training sees; Flickr8k's longest few lose their ends.
TOKENS = 24
ENCODE_CHUNK = 250


def captioned_rows(path: Path, *columns: str) -> list[dict[str, Any]]:
    """The rows of a Parquet file that have captions: these, and other columns."""
    rows = pq.read_table(path, columns=[*columns, "captions"]).to_pylist()
    return [row for row in rows if row["captions"]]


def repeated(captions: Sequence[str]) -> list[str]:
    """As many captions as every picture has; those of one with fewer come again."""
    return [captions[i % len(captions)] for i in range(CAPTIONS)]


@dataclass(frozen=True)
class Words:
    """Features of the captions' words, each by itself.

    Attributes:
        tokens: (N, 5, T, D_t) float16.
        lengths: (N, 5) uint8, how many of the T there are.
    """

    tokens: NDArray[np.float16]
    lengths: NDArray[np.uint8]


@dataclass(frozen=True)
class CaptionedPictures:
    """Pictures of one size with what was said of them.

    Attributes:
        pictures: (N, H, W, 3) uint8.
        vectors: (N, 5, D) float16 sentence vectors.
        digest: hash over pictures and captions, as files hold them.
        words: for networks that read them one by one; else None.
    """

    pictures: NDArray[np.uint8]
    vectors: NDArray[np.float16]
    digest: str
    words: Words | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    @classmethod
    def load(
        cls,
        folder: Path,
        pattern: str,
        cache: Path,
        text_encoder: str,
        workers: int,
        *,
        words: bool = False,
    ) -> CaptionedPictures:
        """Read every captioned picture of the Parquet files that match; all must have one size.

        Args:
            cache: folder for features.
            words: features of single words are wanted, too.

        Raises:
            FileNotFoundError: the pattern matches no file.
        """
        digest = hashlib.sha256()
        encoded: list[bytes] = []
        captions: list[str] = []
        for path in matching(folder, pattern):
            for row in captioned_rows(path, "image"):
                own = repeated(row["captions"])
                digest.update(row["image"])
                digest.update("\n".join(own).encode())
                encoded.append(row["image"])
                captions.extend(own)
        pictures = np.stack(decoded(encoded, workers))
        name = digest.hexdigest()[:16]
        cache.mkdir(parents=True, exist_ok=True)
        stem = f"{name}-{get_text_encoder(text_encoder).id.replace(':', '-')}"
        shape = len(encoded), CAPTIONS
        vectors = _vectors(captions, cache / f"captions-{stem}.npy", text_encoder)
        said = None
        if words:
            tokens, lengths = _words(captions, cache / f"words-{stem}", text_encoder)
            said = Words(tokens.reshape(*shape, *tokens.shape[1:]), lengths.reshape(shape))
        return cls(pictures, vectors.reshape(*shape, -1), name, said)


def _encoded(captions: list[str], text_encoder: str) -> Iterator[TextFeatures]:
    encoder = get_text_encoder(text_encoder, str(default_device()))
    for start in range(0, len(captions), ENCODE_CHUNK):
        yield encoder.encode(captions[start : start + ENCODE_CHUNK])


def _vectors(captions: list[str], path: Path, text_encoder: str) -> NDArray[np.float16]:
    if not path.exists():
        found = [one.sentence.cpu().numpy() for one in _encoded(captions, text_encoder)]
        np.save(path, np.concatenate(found).astype(np.float16))
    cached: NDArray[np.float16] = np.load(path)
    return cached


def _words(
    captions: list[str], stem: Path, text_encoder: str
) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """(n, T, D_t) tokens, mapped from their file, and (n,) lengths."""
    paths = stem.with_suffix(".tokens.npy"), stem.with_suffix(".lengths.npy")
    if not paths[1].exists():
        width = get_text_encoder(text_encoder).token_width
        shape = (len(captions), TOKENS, width)
        tokens: NDArray[np.float16] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
            paths[0], "w+", np.float16, shape
        )
        lengths = np.zeros(len(captions), np.uint8)
        start = 0
        for one in _encoded(captions, text_encoder):
            stop, kept = start + len(one.mask), min(TOKENS, one.mask.shape[1])
            tokens[start:stop, :kept] = one.tokens[:, :kept].cpu().numpy()
            lengths[start:stop] = one.mask[:, :kept].sum(1).cpu().numpy()
            start = stop
        del tokens  # what is written reaches the file
        np.save(paths[1], lengths)
    # Copy on write: torch wants arrays that it may write to.
    return np.load(paths[0], mmap_mode="c"), np.load(paths[1])
