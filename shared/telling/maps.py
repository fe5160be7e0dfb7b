"""Maps of items, a place at a time, by the places around it and by the maps before it, exactly.

Each place is likely to be as its neighbours are: those that were coded already vote, each with its own
weight, and how such votes went so far in this telling counts, too. A map of a few smooth outlines takes a bit
or two for each row that an outline crosses.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from shared.telling.channel import Channel, shares
from shared.telling.telling import LEAST_SIDE, MOST_SIDE, ItemMap

__all__ = ["MapCoder"]

#: (rows up, columns left, votes) of neighbours; beyond an edge nothing is marked.
NEIGHBOURS = ((0, 1, 12), (1, 0, 12), (1, 1, 2), (1, -1, 4), (0, 2, 2), (2, 0, 2))
#: Votes for either side from the start, and of each place that had the same neighbours.
DOUBT, MEMORY = 1, 6
#: What a place of an earlier map says against this one being marked, too.
APART = 4
_SIDES = MOST_SIDE - LEAST_SIDE + 1
_SIDE = shares(np.ones(_SIDES, np.int64))
#: Margin that neighbours reach into.
_MARGIN = 2


class MapCoder:
    """Writes or reads the maps of one telling, all of one shape."""

    def __init__(self) -> None:
        self._shape: tuple[int, int] | None = None
        self._taken: NDArray[np.bool_] | None = None
        self._seen: dict[tuple[int, ...], list[int]] = {}

    def code(self, channel: Channel, found: ItemMap | None) -> ItemMap:
        """One map; None to read it."""
        height, width = self._code_shape(channel, found)
        taken = np.zeros((height, width), np.bool_) if self._taken is None else self._taken
        padded = np.zeros((height + _MARGIN, width + 2 * _MARGIN), np.int64)
        for y, x in product(range(height), range(width)):
            row, column = y + _MARGIN, x + _MARGIN
            around = [int(padded[row - up, column - left]) for up, left, _ in NEIGHBOURS]
            around.append(int(taken[y, x]))
            mark = None if found is None else int(found[y, x])
            padded[row, column] = self._code_place(channel, tuple(around), mark)
        made: ItemMap = padded[_MARGIN:, _MARGIN:-_MARGIN].astype(np.bool_)
        self._taken = taken | made
        return made

    def _code_shape(self, channel: Channel, found: ItemMap | None) -> tuple[int, int]:
        if self._shape is None:
            sides = (None, None) if found is None else found.shape
            height, width = (
                LEAST_SIDE + channel.code(_SIDE, None if side is None else side - LEAST_SIDE)
                for side in sides
            )
            self._shape = height, width
        return self._shape

    def _code_place(self, channel: Channel, around: tuple[int, ...], mark: int | None) -> int:
        votes = [DOUBT, DOUBT]
        for there, (_, _, weight) in zip(around, NEIGHBOURS, strict=False):
            votes[there] += weight
        votes[0] += APART * around[-1]
        seen = self._seen.setdefault(around, [0, 0])
        weights = np.array([vote + MEMORY * times for vote, times in zip(votes, seen, strict=True)])
        mark = channel.code(shares(weights), mark)
        seen[mark] += 1
        return mark
