"""Colours apart from how much of them is seen."""

from __future__ import annotations

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from shared.pictures.stored import Stored, opened

__all__ = ["apart", "on_white"]


def apart(image: Image.Image, stored: Stored) -> tuple[Image.Image, Image.Image | None]:
    """The image without alpha, and its alpha as greyscale; None where all of it is seen."""
    colours, alpha = _split(image)
    if stored.clear is not None:
        alpha = _not_clear(image, stored)
    return colours, None if stored.opaque else alpha


def on_white(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """An RGB image, laid on white."""
    if alpha is None:
        return image
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=alpha)
    return canvas


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if not image.has_transparency_data:
        return image, None
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    rgba = image.convert("RGBA")
    return rgba.convert("RGB"), rgba.getchannel("A")


def _not_clear(image: Image.Image, stored: Stored) -> Image.Image:
    """Alpha of an image in which one sample is transparent."""
    assert stored.clear is not None
    top = (1 << stored.clear_depth) - 1
    samples = np.asarray(image)
    if image.mode in {"1", "L"}:
        seen = samples.astype(np.uint8) * (255 if image.mode == "1" else 1) != (
            stored.clear[0] * 255 // top
        )
    elif image.mode == "RGB":
        shift = stored.clear_depth - 8
        seen = (samples != [value >> shift for value in stored.clear]).any(2)
        if shift:  # Pillow keeps the upper bytes alone
            seen |= (_lower_bytes(stored.data) != [value & 255 for value in stored.clear]).any(2)
    else:
        seen = samples != stored.clear[0]
    return Image.fromarray(seen.astype(np.uint8) * 255)


def _lower_bytes(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The lower bytes of an RGB PNG of 16 bits, read as if they were the upper ones."""
    with opened(data) as image:
        assert isinstance(image, PngImageFile)
        image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
        return np.asarray(image)
