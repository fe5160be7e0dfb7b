"""ThumbHash: a picture's cosines, finer in luma than in colour, in about 25 bytes. Needs ``thumbhash-rs``."""

from __future__ import annotations

from PIL import Image
from thumbhash import rgba_to_thumb_hash, thumb_hash_to_rgba

from shared.codecs.baselines.placeholder import Placeholder, enlarged, reduced
from shared.pictures import Picture

__all__ = ["ThumbHash"]

#: Pixels of the longest edge that the format takes.
LONGEST = 100


class ThumbHash(Placeholder):
    """ThumbHash as a baseline; its bytes, drawn at the 32 pixels of its own decoder and enlarged.

    The format has no levels: the only one is called 0.
    """

    name = "baseline/thumbhash"
    qualities = (0,)

    def written(self, picture: Picture, quality: int) -> bytes:
        """See :meth:`Placeholder.written`."""
        image = reduced(picture, LONGEST).convert("RGBA")
        return rgba_to_thumb_hash(image.width, image.height, image.tobytes())

    def drawn(self, native: bytes, width: int, height: int) -> Picture:
        """See :meth:`Placeholder.drawn`."""
        own_width, own_height, pixels = thumb_hash_to_rgba(native)
        return enlarged(Image.frombytes("RGBA", (own_width, own_height), pixels), width, height)
