"""Orientation, the one field of EXIF that changes what is seen; no other is read."""

from __future__ import annotations

import struct

from PIL import Image

__all__ = ["EXIF_PREFIX", "orientation", "upright"]

EXIF_PREFIX = b"Exif\0\0"
ORIENTATION_TAG = 0x0112
SHORT = 3
#: How an orientation is undone.
UNDONE_BY = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(exif: bytes | None) -> int:
    """The orientation of an EXIF block, 1 to 8; 1 where there is none that can be read.

    Args:
        exif: with or without ``Exif\\0\\0`` before its TIFF header.
    """
    tiff = (exif or b"").removeprefix(EXIF_PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, first)
        for place in range(first + 2, first + 2 + 12 * count, 12):
            tag, kind, values, value = struct.unpack_from(f"{order}HHIH", tiff, place)
            if tag == ORIENTATION_TAG:
                return value if kind == SHORT and values == 1 and value in UNDONE_BY else 1
    except struct.error:  # beyond the block's end
        pass
    return 1


def upright(image: Image.Image, turned: int) -> Image.Image:
    """The image as it is to be seen, whose stored form has orientation ``turned``."""
    return image.transpose(UNDONE_BY[turned]) if turned in UNDONE_BY else image
