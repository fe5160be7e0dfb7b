"""Bit maps and masks as pictures that a page lays over the decoded one."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["overlay_png"]

#: Dark to light, perceptually about even: the colours of 0, 1/4, 1/2, 3/4 and 1.
COLOURS = np.array(
    [(13, 10, 41), (88, 24, 110), (188, 55, 84), (249, 142, 8), (252, 253, 164)], np.float32
)


def overlay_png(values: NDArray[np.float32], width: int, height: int, most: float) -> bytes:
    """A colour map over a picture.

    Args:
        values: (h, w), one a place; the last row and column may reach beyond the picture.
        width, height: of the picture; only the shape of the map follows from them.
        most: the value of the lightest colour.

    Returns:
        A PNG file that covers the picture when it is stretched over it.
    """
    share = np.clip(values / most if most > 0 else np.zeros_like(values), 0, 1)
    stops = np.linspace(0, 1, len(COLOURS))
    colours = np.stack([np.interp(share, stops, channel) for channel in COLOURS.T], axis=-1)
    image = Image.fromarray(np.round(colours).astype(np.uint8))
    # Enlarged so that one pixel is one of the picture's sixteenths of a place, then cut to what it covers.
    rows, columns = values.shape
    step = max(1, 16 * -(-height // 16) // rows)
    enlarged = image.resize((columns * step, rows * step), Image.Resampling.NEAREST)
    file = io.BytesIO()
    enlarged.crop((0, 0, width, height)).save(file, "PNG", compress_level=1)
    return file.getvalue()
