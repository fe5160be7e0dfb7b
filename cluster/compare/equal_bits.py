"""What a codec would score on a picture in as many bytes as another one took, between its own levels.

Told and silent encoders write streams of different length at a level, so that equal levels are not equal
bits. A measure is taken as linear in the logarithm of the rate between two neighbouring levels, which
never overshoots; beyond the levels that were measured it is not known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["LevelPoint", "value_at_bytes"]


@dataclass(frozen=True)
class LevelPoint:
    """One picture at one level of a codec.

    Attributes:
        bytes: over 0.
        value: of a measure; NaN or infinite where it does not exist, and then the level is passed over.
    """

    level: int
    bytes: int
    value: float


def value_at_bytes(ladder: Iterable[LevelPoint], bytes_: int, level: int) -> float:
    """The measure of a codec's picture in so many bytes.

    Args:
        ladder: the codec's levels, in any order.
        level: of what is compared: where several levels of the ladder take exactly so many bytes, the
            nearest to it counts, so that two codecs of one stream meet at the same level.

    Returns:
        NaN where so many bytes are beyond the ladder.
    """
    known = [point for point in ladder if math.isfinite(point.value)]
    same = [point for point in known if point.bytes == bytes_]
    if same:
        return min(same, key=lambda point: abs(point.level - level)).value
    below = [point for point in known if point.bytes < bytes_]
    above = [point for point in known if point.bytes > bytes_]
    if not below or not above:
        return math.nan
    low = max(below, key=lambda point: (point.bytes, point.level))
    high = min(above, key=lambda point: (point.bytes, point.level))
    share = math.log(bytes_ / low.bytes) / math.log(high.bytes / low.bytes)
    return (1 - share) * low.value + share * high.value
