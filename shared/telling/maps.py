"""Maps of items, a place at a time, by the places around it, exactly.

Each place is likely to be as its neighbours are: those that were coded already vote, each with its own
weight, and how such votes went so far in this telling counts, too. A map of a few smooth outlines takes a bit
or two for each row that an outline crosses.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from shared.telling.channel import Channel, shares
from shared.telling.telling import LEAST_SIDE, MOST_SIDE, ItemMap

__all__ = ["MapCoder"]

#: (rows up, columns left, votes) of neighbours; beyond an edge nothing is marked. Those without a vote only
#: tell places apart. The numbers are the cheapest for maps of held out pictures.
NEIGHBOURS = ((0, 1, 34), (1, 0, 17), (1, 1, 0), (1, -1, 9), (0, 2, 0), (2, 0, 0))
#: Votes for either side from the start, and of each place that had the same neighbours.
DOUBT, MEMORY = 2, 13
_SIDES = MOST_SIDE - LEAST_SIDE + 1
_SIDE = shares(np.ones(_SIDES, np.int64))
#: Margin that neighbours reach into.
_MARGIN = 2


class MapCoder:
    """Writes or reads the maps of one telling, all of one shape."""

    def __init__(self) -> None:
        self._shape: tuple[int, int] | None = None
        self._seen: dict[tuple[int, ...], list[int]] = {}

    def code(self, channel: Channel, found: ItemMap | None) -> ItemMap:
        """One map; None to read it."""
        height, width = self._code_shape(channel, found)
        padded = np.zeros((height + _MARGIN, width + 2 * _MARGIN), np.int64)
        for y, x in product(range(height), range(width)):
            row, column = y + _MARGIN, x + _MARGIN
            around = tuple(int(padded[row - up, column - left]) for up, left, _ in NEIGHBOURS)
            mark = None if found is None else int(found[y, x])
            padded[row, column] = self._code_place(channel, around, mark)
        made: ItemMap = padded[_MARGIN:, _MARGIN:-_MARGIN].astype(np.bool_)
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
        for there, (_, _, weight) in zip(around, NEIGHBOURS, strict=True):
            votes[there] += weight
        seen = self._seen.setdefault(around, [0, 0])
        weights = np.array([vote + MEMORY * times for vote, times in zip(votes, seen, strict=True)])
        mark = channel.code(shares(weights), mark)
        seen[mark] += 1
        return mark
