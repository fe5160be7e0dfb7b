"""What a page shows until the picture has come: hashes and tiny copies, which do not say how large it is.

The page does: it has the picture's width and height in its layout. A blob has to decode on its own, so it
begins with them, two bytes each, big-endian, and the format's own bytes follow. Only these are counted
(``Encoded.counted``), as only these are what the format asks of a page.
"""

from __future__ import annotations

from abc import abstractmethod
from struct import Struct

import numpy as np
from PIL import Image

from shared.codecs.baselines.interface import Baseline
from shared.codecs.interface import Encoded
from shared.pictures import LARGEST_SIDE, Picture

__all__ = ["Placeholder", "enlarged", "reduced"]

SIZE = Struct(">HH")


def reduced(picture: Picture, longest: int) -> Image.Image:
    """A copy of the same shape whose longer edge is at most ``longest`` pixels."""
    image = Image.fromarray(picture)
    # Without a first, coarse reduction, which would cost the copy some tenths of a decibel.
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=None)
    return image


def enlarged(image: Image.Image, width: int, height: int) -> Picture:
    """A copy at the picture's own size, without its transparency."""
    size = (width, height)
    return np.array(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))


class Placeholder(Baseline):
    """A format that draws something like the picture at whatever size it is asked for."""

    @abstractmethod
    def written(self, picture: Picture, quality: int) -> bytes:
        """The format's own bytes of a picture at a level."""

    @abstractmethod
    def drawn(self, native: bytes, width: int, height: int) -> Picture:
        """(height, width, 3) uint8 from them; bytes that cannot be read may raise any exception."""

    def encode(self, picture: Picture, quality: int) -> Encoded:
        """See :meth:`Encoder.encode`."""
        height, width = self.check(picture, quality)
        native = self.written(picture, quality)
        return Encoded(SIZE.pack(width, height) + native, width, height, uncounted=SIZE.size)

    def picture_of(self, blob: bytes) -> Picture:
        """See :meth:`Baseline.picture_of`."""
        width, height = SIZE.unpack_from(blob)
        if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
            raise ValueError(f"no picture is {width}x{height}")
        return self.drawn(blob[SIZE.size :], width, height)
