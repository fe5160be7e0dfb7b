"""What a picture is, and how large it may be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.errors import LimitError

__all__ = ["LARGEST_SIDE", "LUMA_WEIGHTS", "Picture", "check_side"]

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
