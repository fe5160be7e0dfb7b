"""What rate and distortion are learnt from: random crops, or whole pictures with their captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from training.captioned import CaptionedPictures
from training.data import PictureStore, Zoom
from training.terms.step import Batch

__all__ = ["CaptionedExamples", "Crops", "Examples"]


class Examples(Protocol):
    """A source of batches."""

    @property
    def digest(self) -> str:
        """Hash over the data."""

    def batch(self, seed: int, step: int, count: int, side: int) -> Batch:
        """``count`` pictures at level 0; the same for the same arguments.

        Args:
            side: of crops, in pixels; sources of whole pictures do not crop.
        """

    def one(self, index: int, side: int) -> Batch | None:
        """One picture without chance, at level 0; None past the last one."""


@dataclass(frozen=True)
class Crops:
    """Random crops, mirrored half of the time and now and then enlarged; without captions."""

    store: PictureStore
    zoom: Zoom | None = None

    @property
    def digest(self) -> str:
        """See :class:`Examples`."""
        return self.store.digest

    def batch(self, seed: int, step: int, count: int, side: int) -> Batch:
        """See :class:`Examples`."""
        x = self.store.batch(seed, step, count, side, self.zoom)
        return Batch(x, torch.zeros(count, dtype=torch.int64, device=x.device))

    def one(self, index: int, side: int) -> Batch | None:
        """See :class:`Examples`: its upper left corner."""
        if index >= len(self.store.pictures):
            return None
        corner = self.store.pictures[index][:side, :side].copy()
        x = torch.from_numpy(corner).permute(2, 0, 1)[None].float() / 255
        return Batch(x, torch.zeros(1, dtype=torch.int64))


@dataclass(frozen=True)
class CaptionedExamples:
    """Whole pictures, mirrored half of the time, each with one of its captions, now and then none.

    Attributes:
        held_out: last pictures that no batch holds.
        dropout: share of pictures without words.
    """

    pictures: CaptionedPictures
    held_out: int
    dropout: float

    @property
    def digest(self) -> str:
        """See :class:`Examples`."""
        return self.pictures.digest

    def batch(self, seed: int, step: int, count: int, side: int) -> Batch:
        """See :class:`Examples`."""
        held, rng = self.pictures, np.random.default_rng([seed, step])
        index = rng.integers(len(held) - self.held_out, size=count)
        captions = held.vectors[index, rng.integers(held.vectors.shape[1], size=count)]
        told = rng.random((count, 1)) >= self.dropout
        mirrored = rng.random((count, 1, 1, 1)) < 0.5
        pixels = np.where(mirrored, held.pictures[index][:, :, ::-1], held.pictures[index])
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        words = torch.from_numpy(captions).float()
        level = torch.zeros(count, dtype=torch.int64)
        return Batch(x, level, words, words * torch.from_numpy(told).float())

    def one(self, index: int, side: int) -> Batch | None:
        """See :class:`Examples`: with its first caption."""
        if index >= len(self.pictures):
            return None
        x = torch.from_numpy(self.pictures.pictures[index : index + 1]).permute(0, 3, 1, 2)
        words = torch.from_numpy(self.pictures.vectors[index : index + 1, 0]).float()
        return Batch(x.float() / 255, torch.zeros(1, dtype=torch.int64), words, words)
