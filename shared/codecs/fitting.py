"""What a stream is to be: of a level, or of a size, with the best level whose stream is small enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.codecs.interface import AnyEncoder, Encoded, encode
from shared.errors import SizeError
from shared.pictures import Picture

__all__ = ["Wanted", "best_that_fits", "encode_wanted"]

#: From one level to the next, roughly, in the logarithm of the size behind some bytes of header: how far a
#: guess jumps.
LOG_STEP, HEADER = math.log(1.35), 8


@dataclass(frozen=True)
class Wanted:
    """What a stream is asked to be: of a level, or the best of a size; of the default level otherwise."""

    quality: int | None = None
    size: int | None = None
    bits_per_pixel: float | None = None

    def size_for(self, picture: Picture) -> int | None:
        """The largest number of bytes that is wanted; None for any."""
        if self.bits_per_pixel is None:
            return self.size
        wanted = self.bits_per_pixel * picture.shape[0] * picture.shape[1] / 8
        # The bits a pixel of a stream ask for its bytes, whatever the division rounded.
        whole = round(wanted)
        return whole if math.isclose(wanted, whole, rel_tol=1e-12) else math.floor(wanted)


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


def encode_wanted(
    encoder: AnyEncoder,
    picture: Picture,
    wanted: Wanted,
    caption: str | None,
    trying: Callable[[int], None] = lambda _: None,
) -> tuple[int, Encoded]:
    """The stream of a picture that is wanted, and its level; a blind encoder hears no caption.

    Args:
        trying: is told each level before it is tried.

    Raises:
        SizeError: no level fits. QualityError, PictureError, LimitError: see :class:`Encoder`.
    """

    def at(level: int) -> Encoded:
        trying(level)
        return encode(encoder, picture, level, caption)

    limit = wanted.size_for(picture)
    if limit is not None:
        return best_that_fits(at, encoder.qualities, limit)
    level = encoder.default_quality if wanted.quality is None else wanted.quality
    return level, at(level)
