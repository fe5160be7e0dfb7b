"""Training pictures: decoded once to uint8 in memory, cropped in numpy.

What step ``s`` sees depends on the seed and on ``s`` alone, so a resumed run reads on as if it had
never stopped.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.pictures import picture_from_bytes

__all__ = ["PictureStore"]

DECODE_CHUNK = 64


@dataclass(frozen=True)
class PictureStore:
    """Pictures (H, W, 3) uint8 in file order, and a hash over the encoded bytes they came from."""

    pictures: list[NDArray[np.uint8]]
    digest: str

    @classmethod
    def load(cls, folder: Path, patterns: list[str], smallest: int, workers: int) -> PictureStore:
        """Decode every picture of the Parquet files that match, at least ``smallest`` on each side.

        Raises:
            FileNotFoundError: a pattern matches no file.
        """
        digest = hashlib.sha256()
        encoded: list[bytes] = []
        for pattern in patterns:
            paths = sorted(folder.glob(pattern))
            if not paths:
                raise FileNotFoundError(f"no training data: {folder / pattern} matches no file")
            for path in paths:
                for value in pq.read_table(path, columns=["image"])["image"].to_pylist():
                    digest.update(value)
                    encoded.append(value)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            pictures = list(pool.map(picture_from_bytes, encoded, chunksize=DECODE_CHUNK))
        kept = [picture for picture in pictures if min(picture.shape[:2]) >= smallest]
        return cls(kept, digest.hexdigest()[:16])

    def batch(self, seed: int, step: int, count: int, crop: int) -> Tensor:
        """Random crops, mirrored half of the time: (count, 3, crop, crop) float32 in 0..1."""
        rng = np.random.default_rng([seed, step])
        crops = []
        for _ in range(count):
            picture = self.pictures[rng.integers(len(self.pictures))]
            top = rng.integers(picture.shape[0] - crop + 1)
            left = rng.integers(picture.shape[1] - crop + 1)
            view = picture[top : top + crop, left : left + crop]
            crops.append(view[:, ::-1] if rng.random() < 0.5 else view)
        stacked = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
        return stacked.to(torch.float32).div_(255)
