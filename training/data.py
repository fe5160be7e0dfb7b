"""Training pictures: decoded once to uint8 in one tensor, on the device that trains, and cropped there.

What step ``s`` sees depends on the seed and on ``s`` alone, so a resumed run reads on as if it had
never stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from shared.pictures import picture_from_bytes

__all__ = ["PictureStore", "Zoom", "decoded", "matching"]


def matching(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that a glob names, in order.

    Raises:
        FileNotFoundError: it matches no file.
    """
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"no training data: {folder / pattern} matches no file")
    return paths


def decoded(encoded: Sequence[bytes], workers: int) -> list[NDArray[np.uint8]]:
    """Pictures (H, W, 3) uint8 of files, in threads: Pillow decodes outside the interpreter's lock."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(picture_from_bytes, encoded))


@dataclass(frozen=True)
class Zoom:
    """Crops that are enlarged, as pictures of more pixels are softer than a data set's thumbnails.

    Attributes:
        share: of the crops.
        most: largest factor.
    """

    share: float = 0.0
    most: float = 2.0


@dataclass(frozen=True)
class PictureStore:
    """Pictures (H, W, 3) uint8 in file order, and a hash over the encoded bytes they came from.

    Attributes:
        weights: (n,) of the pictures in draws; None for equal ones.
        device: where crops are made.
    """

    pictures: list[NDArray[np.uint8]]
    digest: str
    weights: NDArray[np.float64] | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def load(
        cls,
        folder: Path,
        patterns: list[str],
        smallest: int,
        workers: int,
        shares: Sequence[float] = (),
        device: torch.device | None = None,
    ) -> PictureStore:
        """Decode every picture of the Parquet files that match, at least ``smallest`` on each side.

        Args:
            shares: of the draws, a pattern each; empty for equally many of each picture.

        Raises:
            FileNotFoundError: a pattern matches no file.
        """
        digest = hashlib.sha256()
        encoded: list[bytes] = []
        owners: list[int] = []
        for owner, pattern in enumerate(patterns):
            for path in matching(folder, pattern):
                for value in pq.read_table(path, columns=["image"])["image"].to_pylist():
                    digest.update(value)
                    encoded.append(value)
                    owners.append(owner)
        pictures = decoded(encoded, workers)
        kept = [i for i, picture in enumerate(pictures) if min(picture.shape[:2]) >= smallest]
        weights = None
        if shares:
            owned = np.array(owners)[kept]
            counts = np.bincount(owned, minlength=len(patterns))
            weights = (np.array(shares) / counts)[owned]
            weights /= weights.sum()
        return cls(
            [pictures[i] for i in kept],
            digest.hexdigest()[:16],
            weights,
            device or torch.device("cpu"),
        )

    @cached_property
    def _flat(self) -> Tensor:
        """All pixels (n, 3) uint8, picture after picture."""
        flat = np.concatenate([picture.reshape(-1, 3) for picture in self.pictures])
        return torch.from_numpy(flat).to(self.device)

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        """First pixel, height and width of each picture, (n, 3)."""
        shapes = np.array([picture.shape[:2] for picture in self.pictures], np.int64)
        ends = np.cumsum(shapes.prod(1))
        return np.concatenate([(ends - shapes.prod(1))[:, None], shapes], 1)

    def batch(
        self, seed: int, step: int, count: int, crop: int, zoom: Zoom | None = None
    ) -> Tensor:
        """Random crops, mirrored half of the time: (count, 3, crop, crop) float32 in 0..1."""
        rng = np.random.default_rng([seed, step])
        chosen = rng.choice(len(self.pictures), size=count, p=self.weights)
        start, height, width = self._sizes[chosen].T
        top = rng.integers(height - crop + 1)
        left = rng.integers(width - crop + 1)
        mirrored = rng.random(count) < 0.5
        first = np.where(mirrored, left + crop - 1, left)
        origin = start + top * width + first
        numbers = np.stack([origin, width, np.where(mirrored, -1, 1)])
        origin_, width_, stride = torch.from_numpy(numbers).to(self.device)[:, :, None, None]
        side = torch.arange(crop, device=self.device)
        x = self._flat[origin_ + side[:, None] * width_ + side * stride]
        x = x.permute(0, 3, 1, 2).float().div_(255)
        if zoom is None or not zoom.share:
            return x
        factor = np.where(rng.random(count) < zoom.share, rng.uniform(1, zoom.most, count), 1.0)
        return _enlarged(x, torch.from_numpy(factor.astype(np.float32)).to(self.device))


def _enlarged(x: Tensor, factor: Tensor) -> Tensor:
    """The middle of each picture (B, 3, H, W), ``factor`` (B,) times as large, at the same size."""
    theta = torch.zeros(len(x), 2, 3, device=x.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / factor
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, "bicubic", "border", align_corners=False).clamp_(0, 1)
