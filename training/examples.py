"""What rate and distortion are learnt from: random crops, or whole pictures with their captions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
        device: where everything is kept.
    """

    pictures: CaptionedPictures
    held_out: int
    dropout: float
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def digest(self) -> str:
        """See :class:`Examples`."""
        return self.pictures.digest

    @property
    def known(self) -> int:
        """Pictures that batches hold; the held out ones come behind them."""
        return len(self.pictures) - self.held_out

    @cached_property
    def _x(self) -> Tensor:
        return torch.from_numpy(self.pictures.pictures).to(self.device)

    @cached_property
    def _vectors(self) -> Tensor:
        return torch.from_numpy(self.pictures.vectors).to(self.device)

    @cached_property
    def _words(self) -> tuple[Tensor, Tensor] | None:
        words = self.pictures.words
        if words is None:
            return None
        # A view of the file: only what is read of it takes memory on a CPU.
        tokens = torch.from_numpy(np.asarray(words.tokens)).to(self.device)
        return tokens, torch.from_numpy(words.lengths).to(self.device)

    def batch(self, seed: int, step: int, count: int, side: int) -> Batch:
        """See :class:`Examples`."""
        rng = np.random.default_rng([seed, step])
        index = rng.integers(self.known, size=count)
        caption = rng.integers(self.pictures.vectors.shape[1], size=count)
        told = rng.random(count) >= self.dropout
        mirrored = torch.from_numpy(rng.random(count) < 0.5).to(self.device)
        batch = self.of(index, caption, told)
        x = torch.where(mirrored[:, None, None, None], batch.x.flip(3), batch.x)
        return replace(batch, x=x)

    def of(
        self,
        index: NDArray[np.int64],
        caption: NDArray[np.int64],
        told: NDArray[np.bool_],
        speaker: NDArray[np.int64] | None = None,
    ) -> Batch:
        """Some pictures at level 0.

        Args:
            index: of the pictures.
            caption: which of the five, each.
            told: who hears it.
            speaker: pictures whose captions these are; None for their own.
        """
        speaker = index if speaker is None else speaker
        row, of, which, hears = (
            torch.from_numpy(one).to(self.device) for one in (index, speaker, caption, told)
        )
        x = self._x[row].permute(0, 3, 1, 2).float().div(255)
        vectors = self._vectors[of, which].float()
        level = torch.zeros_like(row)
        batch = Batch(x, level, vectors, vectors * hears[:, None])
        if self._words is None:
            return batch
        tokens, lengths = self._words
        place = torch.arange(tokens.shape[2], device=self.device)
        mask = (place < lengths[of, which, None]) & hears[:, None]
        return replace(batch, tokens=tokens[of, which].float(), mask=mask)

    def one(self, index: int, side: int) -> Batch | None:
        """See :class:`Examples`: with its first caption."""
        if index >= len(self.pictures):
            return None
        return self.of(np.array([index]), np.array([0]), np.array([True]))
