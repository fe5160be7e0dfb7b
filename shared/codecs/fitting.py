"""A size as the target: the best level of a codec whose stream is small enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from shared.codecs.interface import Encoded
from shared.errors import SizeError

__all__ = ["best_that_fits"]

#: From one level to the next, roughly, in the logarithm of the size behind some bytes of header: how far a
#: guess jumps.
LOG_STEP, HEADER = math.log(1.35), 8


def best_that_fits(
    encode: Callable[[int], Encoded], levels: Sequence[int], limit: int, first: int | None = None
) -> tuple[int, Encoded]:
    """The highest level whose stream has at most ``limit`` bytes, and that stream.

    A few levels are tried, each further from the last the further its size is from the limit.

    Args:
        encode: at a level; streams grow with the level.
        levels: coarsest first.
        first: index of the level that is tried first; the middle one by default.

    Raises:
        SizeError: no level fits.
    """
    fits, over = -1, len(levels)
    best: Encoded | None = None
    least = 0
    place = len(levels) // 2 if first is None else min(first, len(levels) - 1)
    while over - fits > 1:
        encoded = encode(levels[place])
        if encoded.counted <= limit:
            fits, best = place, encoded
        else:
            over, least = place, encoded.counted
        wanted, found = (max(size - HEADER, 1) for size in (limit, encoded.counted))
        jump = round(math.log(wanted / found) / LOG_STEP)
        place = min(max(place + jump, fits + 1), over - 1)
    if best is None:
        raise SizeError(limit, least)
    return levels[fits], best
