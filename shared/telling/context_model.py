"""How likely a symbol is behind those before it: counts of contexts up to some length, in integers alone.

Counts of symbols behind no, one, two, ... symbols are kept as a tree of rows, thinned out where they say
little (absolute discounting, interpolated; Chen and Goodman 1999)::

    share(s | context) = (weight(context, s) + rest(context) * share(s | shorter context))
                         / (the row's weights + rest)

A weight or rest is a byte, a float of three bits of mantissa. All steps are int64, so a distribution is the
same on every machine; it follows from the tables alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shared.telling.channel import TOTAL, Frequencies, shares

__all__ = ["ContextModel", "as_byte", "of_bytes"]

_MANTISSA = 8
#: Largest exponent, so that no product leaves 62 bits.
_MOST_EXPONENT = 24
_VALUES = np.array(
    [
        (_MANTISSA + byte % _MANTISSA) << min(byte // _MANTISSA, _MOST_EXPONENT)
        for byte in range(256)
    ],
    np.int64,
)


def of_bytes(found: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What bytes stand for: 8 to 15, times a power of two."""
    return _VALUES[found]


def as_byte(value: float) -> int:
    """The byte that stands for the number nearest to a value."""
    usable = _VALUES[: _MANTISSA * (_MOST_EXPONENT + 1)]
    return int(np.argmin(np.abs(usable - value)))


@dataclass(frozen=True)
class _Level:
    """Rows of one context length.

    Attributes:
        starts: (rows + 1,) where each row's entries begin; a row a context, in the order of the level above.
        symbols: of the entries, rising within a row.
        weights: of the entries.
        rests: (rows,).
    """

    starts: NDArray[np.int64]
    symbols: NDArray[np.int64]
    weights: NDArray[np.int64]
    rests: NDArray[np.int64]

    def find(self, row: int, symbol: int) -> int | None:
        """The entry of a symbol in a row, which is the next level's row; None if it is not there."""
        start, end = self.starts[row], self.starts[row + 1]
        place = int(start + np.searchsorted(self.symbols[start:end], symbol))
        return place if place < end and self.symbols[place] == symbol else None

    def applied(self, row: int, shorter: Frequencies) -> Frequencies:
        """The distribution behind a row's context, from that behind the shorter one."""
        own = slice(self.starts[row], self.starts[row + 1])
        if own.start == own.stop:
            return shorter
        weights, rest = self.weights[own], self.rests[row]
        total = weights.sum() + rest
        # shorter <= 2**26, rest < 2**29 and total >= rest: nothing overflows, nothing is rounded up.
        found: Frequencies = shorter * rest // total
        found[self.symbols[own]] += weights * TOTAL // total
        found[np.argmax(found)] += TOTAL - found.sum()
        return found


class ContextModel:
    """Distributions over ``n`` symbols.

    Args:
        tensors: ``weights`` (n,) uint8, and for each context length from 1 on ``sizes-K``, ``symbols-K``,
            ``weights-K`` and ``rests-K``; see :mod:`training.context_counts`.

    Raises:
        ValueError: they do not fit each other.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._lone = shares(of_bytes(tensors["weights"].numpy()))
        self.symbols = len(self._lone)
        self._levels: list[_Level] = []
        while f"sizes-{len(self._levels) + 1}" in tensors:
            self._levels.append(_level(tensors, len(self._levels) + 1, self.symbols))
        for upper, lower in zip(self._levels, self._levels[1:], strict=False):
            if len(lower.starts) != len(upper.symbols) + 1:
                raise ValueError("a context model has not one row for each context")

    @property
    def reach(self) -> int:
        """Symbols of a context that matter."""
        return len(self._levels)

    def behind(self, context: Sequence[int]) -> Frequencies:
        """The distribution behind a context, its newest symbol last; a new array.

        Args:
            context: symbols, and starts of texts, which are contexts alone and have numbers behind theirs.
        """
        found = self._lone.copy()
        for length in range(1, min(self.reach, len(context)) + 1):
            row = self._row(context[-length:])
            if row is None:
                break
            found = self._levels[length - 1].applied(row, found)
        return found

    def _row(self, context: Sequence[int]) -> int | None:
        row = context[0]
        if row >= len(self._levels[0].rests):
            return None
        for level, symbol in zip(self._levels, context[1:], strict=False):
            entry = level.find(row, symbol)
            if entry is None:
                return None
            row = entry
        return row


def _level(tensors: Mapping[str, Tensor], length: int, symbols: int) -> _Level:
    names = ("sizes", "symbols", "weights", "rests")
    sizes, entries, weights, rests = (tensors[f"{name}-{length}"].numpy() for name in names)
    filled = np.flatnonzero(sizes)
    starts = np.concatenate([[0], np.cumsum(sizes.astype(np.int64))])
    if not (starts[-1] == len(entries) == len(weights) and len(filled) == len(rests)):
        raise ValueError(f"a context model's level {length} is damaged")
    if entries.max(initial=0) >= symbols:
        raise ValueError(f"a context model's level {length} has symbols beyond its {symbols}")
    spread = np.zeros(len(sizes), np.int64)
    spread[filled] = of_bytes(rests)
    return _Level(starts, entries.astype(np.int64), of_bytes(weights), spread)
