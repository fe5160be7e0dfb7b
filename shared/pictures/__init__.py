"""Files to pixels and back: any picture that Pillow reads becomes (H, W, 3) uint8 in sRGB.

The pixels are those that a browser draws on a white canvas: orientation (EXIF) is applied, colour profiles
are converted, transparency is flattened on white, greyscale and palettes are widened, grey of more than 8
bits is scaled by its depth. Of a file that stores several images the one that it is about is taken. Nothing
beside pixels, orientation and profile is read, so nothing else can fail a picture. What has no sensible
8-bit sRGB form (float or 32-bit pixels, animations, several pages) is refused.

A file goes through these modules, one a concern:

==============  ===============================================================================
``stored``      which bytes of the file Pillow gets to see, and what was read from the others
``png``,        each container's own: chunks, segments, directories, boxes; see ``stored``
``jpeg``,
``tiff``,
``avif``
``exif``        the orientation, and how it is undone
``alpha``       colours apart from how much of them is seen
``grey``        grey of more than 8 bits
``colour``      profiles and gamma to sRGB
``reading``     all of it in turn
``writing``     pixels to files
==============  ===============================================================================
"""

from shared.pictures import plugins
from shared.pictures.picture import (
    LARGEST_SIDE,
    LUMA_WEIGHTS,
    Picture,
    check_picture,
    check_side,
)
from shared.pictures.reading import (
    PictureHead,
    picture_from_bytes,
    picture_head,
    read_picture,
)
from shared.pictures.writing import quick_png, write_atomically, write_picture

__all__ = [
    "LARGEST_SIDE",
    "LUMA_WEIGHTS",
    "Picture",
    "PictureHead",
    "check_picture",
    "check_side",
    "picture_from_bytes",
    "picture_head",
    "quick_png",
    "read_picture",
    "write_atomically",
    "write_picture",
]

plugins.register()
