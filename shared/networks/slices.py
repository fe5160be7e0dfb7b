"""Means from slices of channels that are decoded already; the scales stay the hyperprior's.

Minnen and Singh, "Channel-wise Autoregressive Entropy Models for Learned Image Compression" (ICIP 2020), cut
y into equal slices, a step each. He et al., "ELIC" (CVPR 2022), cut it unevenly and take two steps a slice:
the black places of a checkerboard, then the white ones, which know the black ones around them. Of a slice::

    y_hat of earlier slices --entry conv5--.
                                          (+)--> conv5 --.--> all places, or the black ones --> exit --> + mu
    features of z (1/32) -------hyper------'             |
                                                         '--> the white ones --(+)-----------> exit --> + mu
                                                                                |
                                              y_hat of the black ones --around--'

Our reading: only integers may choose a table, so of both papers' parameters the means alone depend on what
is decoded, and the scales come from z in one step. Last layers are pointwise, so that a step computes nothing
for places that it does not decode. Minnen and Singh's prediction of what rounding took away is left out: it
is no part of the probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.layers import LeakyReLU, QualityGain, conv5x5, subpixel

__all__ = ["CheckerboardConv", "SliceContext", "SliceSize"]

Width = Annotated[int, Field(ge=1)]


class SliceSize(BaseModel):
    """Slices of y, and widths of their networks; the widths' defaults are the papers'."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: tuple[Width, ...] = Field(
        min_length=1, description="channels of each slice, together those of y"
    )
    checkerboard: bool = Field(False, description="two steps a slice")
    hidden: tuple[Width, Width] = Field(
        (224, 128), description="channels behind the first and the second 5x5 convolution"
    )


class SliceContext(nn.Module):
    """See the module; the interface is that of :class:`shared.networks.context.MeanContext`.

    Args:
        levels: quality levels; each has gains where values enter and leave.
        features: channels of what is known of z.
    """

    def __init__(self, size: SliceSize, levels: int, features: int) -> None:
        super().__init__()
        wide, narrow = size.hidden
        *before, latent = accumulate(size.widths)
        self.widths, self.checkerboard = list(size.widths), size.checkerboard
        self.entry_gain = QualityGain(levels, latent)
        self.entry = nn.ModuleList(conv5x5(channels, wide) for channels in before)
        self.hyper = nn.ModuleList(subpixel(features, wide, 2, kernel=1) for _ in self.widths)
        self.trunk = nn.ModuleList(
            nn.Sequential(LeakyReLU(), conv5x5(wide, narrow)) for _ in self.widths
        )
        self.around = nn.ModuleList(
            CheckerboardConv(width, narrow) for width in self.widths if size.checkerboard
        )
        self.merge = nn.ModuleList(
            nn.Sequential(LeakyReLU(), nn.Conv2d(narrow, narrow, 1), LeakyReLU())
            for _ in self.widths
        )
        self.exit = nn.ModuleList(nn.Conv2d(narrow, width, 1) for width in self.widths)
        self.exit_gain = QualityGain(levels, latent)

    def fold(self, x: Tensor) -> tuple[Tensor, ...]:
        """Chunks of x (B, M, h, w) in the order of the steps: slices, or (B, m, h, w/2) of their places."""
        return tuple(chunk for part in self._slices(x) for chunk in self._places(part))

    def unfold(self, chunks: Sequence[Tensor]) -> Tensor:
        """The inverse of :meth:`fold`."""
        count = 2 if self.checkerboard else 1
        starts = range(0, len(chunks), count)
        return torch.cat([self._joined(chunks[start : start + count]) for start in starts], 1)

    def _slices(self, x: Tensor) -> tuple[Tensor, ...]:
        return torch.split(x, self.widths, 1)

    def _places(self, x: Tensor) -> tuple[Tensor, ...]:
        """What each step of a slice (B, m, h, w) decodes."""
        return _black_and_white(x) if self.checkerboard else (x,)

    def _joined(self, places: Sequence[Tensor]) -> Tensor:
        return _board(*places) if self.checkerboard else places[0]

    def steps(
        self,
        mu: Tensor,
        features: Tensor,
        quality: Tensor,
        decode: Callable[[int, Tensor], Tensor],
    ) -> list[Tensor]:
        """The chunks of y_hat, step by step; see :meth:`shared.networks.context.MeanContext.steps`."""
        into, out_of = (
            self._slices(gain.of(quality)) for gain in (self.entry_gain, self.exit_gain)
        )
        values: list[Tensor] = []
        known: list[Tensor] = []
        for k, mean in enumerate(self._slices(mu)):
            own: list[Tensor] = []
            seen = self._seen(k, known, features)
            for base, x in zip(self._places(mean), self._places(seen), strict=True):
                there = x + self.around[k](own[0]) if own else x
                correction = self.exit[k](self.merge[k](there)).float() * out_of[k]
                values.append(decode(len(values), base + correction))
                own.append((values[-1] * into[k]).to(features.dtype))
            known.append(self._joined(own))
        return values

    def _seen(self, k: int, known: list[Tensor], features: Tensor) -> Tensor:
        """What slice k is told of z and of earlier slices, (B, C, h, w)."""
        x = self.hyper[k](features)
        if known:
            x = x + self.entry[k - 1](torch.cat(known, 1))
        out: Tensor = self.trunk[k](x)
        return out


def _black_and_white(x: Tensor) -> tuple[Tensor, Tensor]:
    """The places of (B, C, h, w) whose row and column add up to an even number, and the others.

    Each (B, C, h, w/2): those in even rows, then those in odd ones.
    """
    places = F.pixel_unshuffle(x, 2)
    a, b, c, d = (places[:, place::4] for place in range(4))
    return torch.cat((a, d), 2), torch.cat((b, c), 2)


def _board(black: Tensor, white: Tensor) -> Tensor:
    """The inverse of :func:`_black_and_white`."""
    (a, d), (b, c) = black.chunk(2, 2), white.chunk(2, 2)
    return F.pixel_shuffle(torch.stack((a, b, c, d), 2).flatten(1, 2), 2)


class CheckerboardConv(nn.Module):
    """A 5x5 convolution of a checkerboard's black places at its white ones, by the weights that meet any.

    Six lie in rows that are 0 or 2 away and columns that are 1 away, and six the other way round::

        . x . x .
        o . o . o        x: ``across``
        . x . x .        o: ``along``
        o . o . o
        . x . x .
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.across = nn.Conv2d(in_channels, out_channels, (3, 2))
        self.along = nn.Conv2d(in_channels, out_channels, (2, 3), bias=False)

    def forward(self, black: Tensor) -> Tensor:
        """(B, C, h, w/2) as checkerboards are cut -> (B, C', h, w/2), likewise."""
        even, odd = black.chunk(2, 2)  # rows; they begin with a black place and with a white one
        across_even, along_even = (
            self.across(F.pad(even, (0, 1, 1, 1))),
            self.along(F.pad(even, (1, 1, 0, 1))),
        )
        across_odd, along_odd = (
            self.across(F.pad(odd, (1, 0, 1, 1))),
            self.along(F.pad(odd, (1, 1, 1, 0))),
        )
        return torch.cat((across_even + along_odd, across_odd + along_even), 2)
