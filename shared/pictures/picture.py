"""What a picture is, and how large it may be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.errors import LimitError, PictureError

__all__ = ["LARGEST_SIDE", "LUMA_WEIGHTS", "Picture", "check_picture", "check_side"]

#: Widest and highest picture that can be encoded or decoded.
LARGEST_SIDE = 8192
#: Shares of R, G and B in luma (ITU-R BT.601).
LUMA_WEIGHTS = (0.299, 0.587, 0.114)

#: (H, W, 3) uint8, sRGB.
Picture = NDArray[np.uint8]


def check_side(name: str, value: int) -> None:
    """Raise LimitError unless ``1 <= value <= LARGEST_SIDE``."""
    if value < 1:
        raise LimitError(f"picture {name}", value, 1, least=True)
    if value > LARGEST_SIDE:
        raise LimitError(f"picture {name}", value, LARGEST_SIDE)


def check_picture(picture: object) -> tuple[int, int]:
    """Height and width of a picture that may be encoded or written: (H, W, 3) uint8, neither side too long.

    Raises:
        PictureError: it is no array, or of another shape or type. LimitError: a side is 0 or too long.
    """
    if not isinstance(picture, np.ndarray):
        kind = f"{type(picture).__module__}.{type(picture).__qualname__}"
        raise PictureError(f"picture is a {kind}, must be a numpy.ndarray of (H, W, 3) uint8")
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise PictureError(f"picture shape is {picture.shape}, must be (H, W, 3)")
    if picture.dtype != np.uint8:
        raise PictureError(f"picture dtype is {picture.dtype}, must be uint8")
    height, width, _ = picture.shape
    check_side("width", width)
    check_side("height", height)
    return height, width
