"""What a generator learns from: pictures, sentence vectors, and frozen latents of the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from shared.codecs.halves import LatentEncoder, pad_to_stride
from training.captioned import CaptionedPictures
from training.latents import frozen_latents
from training.terms.step import Batch

__all__ = ["Draw", "GeneratorData"]


@dataclass(frozen=True)
class Draw:
    """How the batches of a run are drawn.

    Attributes:
        held_out: last pictures that no step sees.
        dropout: share of pictures without words.
    """

    seed: int
    held_out: int
    dropout: float
    device: torch.device


@dataclass(frozen=True)
class GeneratorData:
    """Pictures, sentence vectors and frozen latents, one array a level."""

    pictures: CaptionedPictures
    latents: Sequence[NDArray[np.float16]]

    @classmethod
    def load(
        cls, encoder: LatentEncoder, levels: int, pictures: CaptionedPictures, cache: Path
    ) -> GeneratorData:
        """Latents of every level, made where the cache lacks them."""
        made = [frozen_latents(encoder, pictures, level, cache) for level in range(levels)]
        return cls(pictures, made)

    def batch(
        self,
        index: NDArray[np.int64],
        quality: NDArray[np.int64],
        captions: NDArray[np.float16],
        told: NDArray[np.bool_],
        device: torch.device,
    ) -> Batch:
        """Some pictures at some levels, with or without their captions.

        They are padded as the codec pads them, and their latents are whole: what a generator learns of a
        picture's edge must be true of every picture.
        """
        latents = np.stack([self.latents[q][i] for i, q in zip(index, quality, strict=True)])
        padded = np.stack([pad_to_stride(picture) for picture in self.pictures.pictures[index]])
        x = torch.from_numpy(padded).to(device).permute(0, 3, 1, 2)
        words = torch.from_numpy(captions).to(device).float()
        return Batch(
            x.float().div(255),
            torch.from_numpy(quality).to(device),
            words,
            words * torch.from_numpy(told).to(device)[:, None],
            torch.from_numpy(latents).to(device).float(),
        )

    def draw(self, how: Draw, step: int, count: int) -> Batch:
        """``count`` pictures of a step: levels in turn, a random caption of the five, now and then none."""
        rng = np.random.default_rng([how.seed, step])
        index = rng.integers(len(self.pictures) - how.held_out, size=count)
        quality = (np.arange(count) + step) % len(self.latents)
        vectors = self.pictures.vectors
        captions = vectors[index, rng.integers(vectors.shape[1], size=count)]
        told = rng.random(count) >= how.dropout
        return self.batch(index, quality, captions, told, how.device)
