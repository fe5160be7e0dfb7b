"""Frozen probability tables: integers, made once at export, stored in the bundle, never rebuilt.

A table covers the consecutive symbols ``low .. low + n - 1`` with integer frequencies that sum to
``2**16``. Its first and last symbol are *escapes*: they stand for "this or anything beyond", and
the distance beyond follows in 16 plain bits (:mod:`shared.entropy.coder`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shared.entropy.scale_branch import SCALE_LEVELS

__all__ = [
    "FREQUENCY_TOTAL",
    "LOG_STEP",
    "SCALE_MAX",
    "SCALE_MIN",
    "FrozenTables",
    "gaussian_pmf",
    "quantise_pmf",
    "scale_of_index",
]

#: Frequencies of one table sum to this.
FREQUENCY_TOTAL = 1 << 16
#: Standard deviation of index 0 and of index 63; the indices between are spaced evenly in log.
SCALE_MIN, SCALE_MAX = 0.11, 64.0
#: From one index to the next, in the logarithm of the standard deviation.
LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALE_LEVELS - 1)
#: Half the length of a y table: so many standard deviations, and so many symbols more.
TABLE_REACH, TABLE_MARGIN = 8, 4
#: Longest table; beyond it symbols escape.
MAX_SYMBOLS = 1023


def scale_of_index(index: float) -> float:
    """Standard deviation that a scale index stands for."""
    # In this order of operations: the golden payload pins its last bit.
    return SCALE_MIN * math.exp(index * math.log(SCALE_MAX / SCALE_MIN) / (SCALE_LEVELS - 1))


def quantise_pmf(pmf: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Turn probabilities into frequencies >= 1 that sum to :data:`FREQUENCY_TOTAL`.

    Each symbol gets one, and the rest is shared by largest remainder, so that no symbol that the
    encoder may meet is without a code.
    """
    if pmf.size < 2:
        raise ValueError("a table needs at least two symbols")
    share = np.clip(pmf, 0, None)
    share = share / share.sum() * (FREQUENCY_TOTAL - pmf.size)
    whole = np.floor(share).astype(np.int64)
    missing = FREQUENCY_TOTAL - pmf.size - int(whole.sum())
    whole[np.argsort(-(share - whole), kind="stable")[:missing]] += 1
    frequencies: NDArray[np.uint16] = (whole + 1).astype(np.uint16)
    return frequencies


@dataclass(frozen=True)
class FrozenTables:
    """A ragged array of tables.

    Attributes:
        frequencies: uint16, all tables one after another.
        starts: int32, ``(tables + 1,)``: table ``i`` is ``frequencies[starts[i]:starts[i + 1]]``.
        lows: int32, ``(tables,)``: the symbol that a table's first frequency belongs to.
    """

    frequencies: NDArray[np.uint16]
    starts: NDArray[np.int32]
    lows: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.lows)

    def __getitem__(self, index: int) -> NDArray[np.uint16]:
        return self.frequencies[self.starts[index] : self.starts[index + 1]]

    @classmethod
    def pack(cls, tables: list[tuple[int, NDArray[np.uint16]]]) -> FrozenTables:
        """Tables made of ``(low, frequencies)`` pairs."""
        sizes = [len(frequencies) for _, frequencies in tables]
        return cls(
            np.concatenate([frequencies for _, frequencies in tables]),
            np.cumsum([0, *sizes], dtype=np.int32),
            np.array([low for low, _ in tables], dtype=np.int32),
        )

    def cheapest_bits(self) -> NDArray[np.float64]:
        """Bits of each table's likeliest symbol: no stream can spend less on it."""
        peaks = np.maximum.reduceat(self.frequencies, self.starts[:-1].astype(np.intp))
        bits: NDArray[np.float64] = np.log2(FREQUENCY_TOTAL / peaks)
        return bits

    def bits(
        self, index: NDArray[np.integer[Any]], symbols: NDArray[np.int16]
    ) -> NDArray[np.float32]:
        """Ideal code length of each symbol by the table that its index names, without escapes' tails."""
        starts, sizes = self.starts[index], np.diff(self.starts)[index]
        place = np.clip(symbols - self.lows[index], 0, sizes - 1)
        bits: NDArray[np.float32] = np.log2(FREQUENCY_TOTAL / self.frequencies[starts + place])
        return bits.astype(np.float32)

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """The tables as a bundle holds them (widened: safetensors readers know int32 everywhere)."""
        return {
            "frequencies": torch.from_numpy(self.frequencies.astype(np.int32)),
            "starts": torch.from_numpy(self.starts),
            "lows": torch.from_numpy(self.lows),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> FrozenTables:
        """Tables out of a bundle.

        Raises:
            ValueError: if a table does not sum to :data:`FREQUENCY_TOTAL` or has a zero.
        """
        frequencies = tensors["frequencies"].numpy()
        starts = tensors["starts"].numpy().astype(np.int32)
        sums = np.add.reduceat(frequencies, starts[:-1].astype(np.intp))
        if frequencies.min() < 1 or np.any(sums != FREQUENCY_TOTAL):
            raise ValueError("a probability table of the bundle is damaged")
        return cls(frequencies.astype(np.uint16), starts, tensors["lows"].numpy().astype(np.int32))


def gaussian_pmf(index: int) -> tuple[int, NDArray[np.float64]]:
    """A scale index's zero-mean Gaussian over unit bins: the lowest symbol, and probabilities.

    It reaches eight standard deviations and a little further, and its ends hold what lies beyond:
    they will be escapes, and escapes are dear.
    """
    sigma = scale_of_index(index)
    reach = min(math.ceil(TABLE_REACH * sigma) + TABLE_MARGIN, MAX_SYMBOLS // 2)
    edges = np.arange(-reach, reach + 2) - 0.5
    cdf = np.array([math.erfc(-edge / (sigma * math.sqrt(2))) / 2 for edge in edges])
    cdf[0], cdf[-1] = 0.0, 1.0
    return -reach, np.diff(cdf)
