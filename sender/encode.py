"""A picture file becomes a container file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from sender.captioning import Told, told_of
from shared.captioner import Captioner
from shared.codecs import AnyEncoder, Encoded, encode
from shared.codecs.fitting import best_that_fits
from shared.pictures import Picture, read_picture, write_atomically

__all__ = ["EncodedFile", "Wanted", "encode_file"]


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


@dataclass(frozen=True)
class EncodedFile:
    """A stream that was written, its level, and what its encoder was told."""

    level: int
    encoded: Encoded
    told: Told


def encode_file(
    source: Path,
    target: Path,
    encoder: AnyEncoder,
    wanted: Wanted,
    caption: str | None = None,
    captioner: Captioner | None = None,
) -> EncodedFile:
    """Read ``source``, compress it, write ``target`` whole or not at all; a blind encoder hears no caption.

    Args:
        captioner: is asked where there is no caption.

    Raises:
        SidewireError: what is wrong with the picture, the quality, the size or the place.
    """
    picture = read_picture(source)
    told = told_of(picture, caption, captioner)
    limit = wanted.size_for(picture)
    if limit is None:
        level = encoder.default_quality if wanted.quality is None else wanted.quality
        encoded = encode(encoder, picture, level, told.caption)
    else:
        level, encoded = best_that_fits(
            lambda one: encode(encoder, picture, one, told.caption), encoder.qualities, limit
        )
    write_atomically(target, encoded.blob)
    return EncodedFile(level, encoded, told)
