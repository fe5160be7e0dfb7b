"""What a flow learns from: latents of captioned pictures beside those of poor copies of them.

Each picture is sent once through the frozen stream at a level of its own, and both latents are kept beside
the run: making them takes as long as learning from them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.codecs.parts import Parts
from shared.networks.precision import coarse
from training.captioned import CaptionedPictures
from training.frozen_stream import padded, received

__all__ = ["LatentPairs"]

#: Pictures analysed at a time.
CHUNK = 16


@dataclass(frozen=True)
class LatentPairs:
    """Latents of pictures and of what a stream's decoder shows of them.

    Attributes:
        y: (N, M, h, w) float16, of the pictures, at the painter's level.
        y_ref: (N, M, h, w) float16, of their references.
    """

    y: NDArray[np.float16]
    y_ref: NDArray[np.float16]

    @classmethod
    def load(
        cls,
        pictures: CaptionedPictures,
        parts: Parts,
        model_id: str,
        canvas: int,
        references: Sequence[int],
        cache: Path,
    ) -> LatentPairs:
        """From the cache, or made: picture i has the reference of level ``references[i % n]``.

        Args:
            parts: the frozen stream's, with this model id.
            canvas: level of the painter's latents, of scale 1.
        """
        words = f"{pictures.digest} {model_id} {canvas} {list(references)}"
        stem = cache / f"pairs-{hashlib.sha256(words.encode()).hexdigest()[:16]}"
        paths = stem.with_suffix(".y.npy"), stem.with_suffix(".ref.npy")
        if not paths[1].exists():
            made = _made(pictures.pictures, parts, canvas, references)
            for path, one in zip(paths, made, strict=True):
                np.save(path, one)
        # Copy on write: torch wants arrays that it may write to.
        return cls(np.load(paths[0], mmap_mode="c"), np.load(paths[1], mmap_mode="c"))


@torch.no_grad()
def _made(
    pictures: NDArray[np.uint8], parts: Parts, canvas: int, references: Sequence[int]
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    y = y_ref = np.empty(0, np.float16)
    device = next(parts.parameters()).device
    for turn, level in enumerate(references):
        for start in range(turn, len(pictures), CHUNK * len(references)):
            rows = np.arange(start, len(pictures), len(references))[:CHUNK]
            x = torch.from_numpy(pictures[rows]).to(device).permute(0, 3, 1, 2).float() / 255
            own = _latents(parts, x, canvas)
            ref = _latents(parts, reference(parts, x, level), canvas)
            if not y.size:
                y, y_ref = (np.empty((len(pictures), *own.shape[1:]), np.float16) for _ in "ab")
            y[rows], y_ref[rows] = own.cpu().numpy(), ref.cpu().numpy()
    return y, y_ref


def reference(parts: Parts, x: Tensor, level: int) -> Tensor:
    """What a decoder shows of pictures (B, 3, H, W) in 0..1 at a level."""
    height, width = x.shape[2:]
    scale = parts.ladder.scales[level]
    quality = torch.full((len(x),), level, device=x.device)
    whole = padded(x, scale)
    y_hat = received(parts, whole, quality, scale)
    with coarse(x.device):
        shown = parts.synthesise(y_hat, quality, None, (height, width), scale)
    # A decoder's pictures are of 256 levels.
    return shown.float().clamp(0, 1).mul(255).round().div(255)


def _latents(parts: Parts, x: Tensor, canvas: int) -> Tensor:
    with coarse(x.device):
        quality = torch.full((len(x),), canvas, device=x.device)
        y = parts.analyse(x, quality, None)
    return y.half()
