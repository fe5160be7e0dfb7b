"""Grey of more than 8 bits, which Pillow leaves as the numbers that the file has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.pictures.stored import WIDE_WHITE, Stored

__all__ = ["WideGrey", "wide_grey"]

#: Grey of 16 bits: 0 is black, 65535 is white.
WideGrey = NDArray[np.uint16]
WIDE_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})


def wide_grey(image: Image.Image, stored: Stored) -> WideGrey | None:
    """The samples of an image of more than 8 bits, scaled to 16; None for any other image."""
    # Pillow scales what is deeper than 8 bits in PGM to 16, and stores it in 32.
    if image.mode not in WIDE_MODES and (image.format, image.mode) != ("PPM", "I"):
        return None
    samples = np.asarray(image).astype(np.uint32).clip(max=stored.white)
    if stored.negative:
        samples = stored.white - samples
    if stored.white != WIDE_WHITE:
        samples = (samples * WIDE_WHITE + stored.white // 2) // stored.white
    return samples.astype(np.uint16)
