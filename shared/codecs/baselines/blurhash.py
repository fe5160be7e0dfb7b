"""BlurHash: the first cosines of a picture as a string of printable characters. Needs ``blurhash-rs``."""

from __future__ import annotations

import numpy as np
from blurhash_rs import blurhash_decode, blurhash_encode
from PIL import Image

from shared.codecs.baselines.placeholder import Placeholder
from shared.pictures import Picture

__all__ = ["BlurHash"]


class BlurHash(Placeholder):
    """BlurHash as a baseline: the string in ASCII, drawn at the picture's own size.

    A level is a grid of cosines as two digits: 43 is four along the longer edge and three along the
    shorter. Of n in all the string has 4 + 2 n characters.
    """

    name = "baseline/blurhash"
    qualities = (43, 54, 66, 86, 99)

    def written(self, picture: Picture, quality: int) -> bytes:
        """See :meth:`Placeholder.written`."""
        longer, shorter = divmod(quality, 10)
        height, width = picture.shape[:2]
        grid = (longer, shorter) if width >= height else (shorter, longer)
        return blurhash_encode(Image.fromarray(picture), *grid).encode("ascii")

    def drawn(self, native: bytes, width: int, height: int) -> Picture:
        """See :meth:`Placeholder.drawn`."""
        return np.array(blurhash_decode(native.decode("ascii"), width, height))
