"""What a file stores: the bytes that Pillow gets to see, and what was read beside them.

Files carry much that is no picture: texts, EXIF of a hundred fields, XMP, thumbnails. Pillow reads all of it
and fails with it. So each container's module passes on what makes the pixels, and reads by itself the few
things beside them that change what is seen.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from shared.pictures.picture import check_side

__all__ = ["LARGEST_PROFILE", "WIDE_WHITE", "Stored", "opened"]

#: Largest colour profile that is unpacked, in bytes; the largest of printers have some three million.
LARGEST_PROFILE = 1 << 23
#: White in grey of more than 8 bits, unless the file says otherwise.
WIDE_WHITE = 65535


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture's file.

    Attributes:
        data: the file as Pillow gets it.
        orientation: of EXIF, None where Pillow is to be asked for the block.
        profile: the ICC profile, None where Pillow is to be asked for it.
        gamma: the exponent that samples were made with, None for sRGB's curve or where a profile says it.
        clear: the sample (or three of them) that is transparent, of ``clear_depth`` bits.
        white: the sample that is white in grey of more than 8 bits.
        negative: whether in such grey 0 is white, and ``white`` black.
        opaque: whether the alpha channel means nothing.
    """

    data: bytes
    orientation: int | None = None
    profile: bytes | None = None
    gamma: float | None = None
    clear: tuple[int, ...] | None = None
    clear_depth: int = 8
    white: int = WIDE_WHITE
    negative: bool = False
    opaque: bool = False


def opened(data: bytes) -> Image.Image:
    """The image of a file, of which no pixel was read.

    Raises:
        LimitError: a side is over the limit. Others, as Pillow raises nearly anything.
    """
    image = Image.open(io.BytesIO(data))
    check_side("width", image.width)
    check_side("height", image.height)
    return image
