"""The code length of z by frozen tables, for encoders that learn under an entropy model that stands."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from shared.entropy.tables import FREQUENCY_TOTAL, FrozenTables

__all__ = ["TablePrior"]

#: Symbols on each side of zero whose cost is tabled; beyond them it stays.
REACH = 64


class TablePrior:
    """Bits of z by the tables ``first + level * channels + channel``, on a straight line between integers."""

    def __init__(self, tables: FrozenTables, first: int, levels: int, channels: int) -> None:
        self._tables, self._first = tables, first
        self._shape = (levels, channels, 2 * REACH + 1)
        self._device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Have the costs on ``device``, once: a recorded step may not copy from the CPU."""
        self._device = device
        vars(self).pop("costs", None)

    @cached_property
    def costs(self) -> Tensor:
        """(levels, N, 129) float32, bits of each symbol; made when something first learns under it."""
        levels, channels, _ = self._shape
        symbols = np.arange(-REACH, REACH + 1)
        costs = np.empty((levels * channels, len(symbols)), np.float32)
        for row in range(levels * channels):
            frequencies = self._tables[self._first + row]
            place = np.clip(symbols - self._tables.lows[self._first + row], 0, len(frequencies) - 1)
            costs[row] = np.log2(FREQUENCY_TOTAL / frequencies[place])
        return torch.from_numpy(costs).reshape(self._shape).to(self._device)

    def __call__(self, z: Tensor, quality: Tensor) -> Tensor:
        """Bits of each channel (B, N) of z (B, N, h, w) at levels (B,)."""
        place = (z + REACH).clamp(0, 2 * REACH)
        low = place.detach().floor().clamp(max=2 * REACH - 1)
        costs = self.costs[quality]
        flat = low.flatten(2).long()
        before = costs.gather(2, flat).view_as(z)
        after = costs.gather(2, flat + 1).view_as(z)
        return torch.lerp(before, after, place - low).flatten(2).sum(2)
