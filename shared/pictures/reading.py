"""A picture's file to pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.errors import PictureError, SidewireError
from shared.pictures import avif, jpeg, png, tiff
from shared.pictures.alpha import apart, on_white
from shared.pictures.colour import to_srgb
from shared.pictures.exif import orientation, upright
from shared.pictures.grey import wide_grey
from shared.pictures.picture import Picture
from shared.pictures.stored import Stored, opened

__all__ = ["PictureHead", "picture_from_bytes", "picture_head", "read_picture"]

#: Formats whose several images are no animation: the one that is opened is the picture itself.
STILL_FORMATS = frozenset({"HEIF", "PSD"})


class PictureHead(NamedTuple):
    """What a picture's file says of itself: format as Pillow calls it, and stored size in pixels."""

    format: str
    width: int
    height: int


def picture_head(data: bytes) -> PictureHead:
    """Look at an encoded picture without reading its pixels.

    Raises:
        PictureError, LimitError: as :func:`picture_from_bytes`, as far as that is known without pixels.
    """
    with _typed(data), opened(_stored(data).data) as image:
        return PictureHead(image.format or "", image.width, image.height)


def picture_from_bytes(data: bytes) -> Picture:
    """Decode an encoded picture (any format that Pillow knows, HEIC and JPEG XL included).

    Returns:
        (H, W, 3) uint8 in sRGB.

    Raises:
        PictureError: not a picture, damaged, animated, or of a pixel type with no 8-bit RGB form.
        LimitError: a side is over :data:`LARGEST_SIDE` (checked before pixels are read).
    """
    with _typed(data):
        return _pixels(_stored(data))


@contextmanager
def _typed(data: bytes) -> Iterator[None]:
    """Errors as the project has them, whatever reading ``data`` raises."""
    if not data:
        raise PictureError("the file is empty (0 bytes)")
    try:
        yield
    except SidewireError:
        raise
    except UnidentifiedImageError:
        raise PictureError("not a picture in any known format") from None
    except Image.DecompressionBombError as error:
        raise PictureError(str(error)) from None
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise PictureError(f"damaged picture: {error}") from None


def read_picture(path: Path) -> Picture:
    """Read a file as :func:`picture_from_bytes` does; the messages name the path.

    Raises:
        PictureError, LimitError: as there, or the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(f"cannot read {path}: {error.strerror}") from None
    try:
        return picture_from_bytes(data)
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from None


def _stored(data: bytes) -> Stored:
    if data.startswith(png.SIGNATURE):
        return png.stored_png(data)
    if data.startswith(jpeg.START):
        return jpeg.stored_jpeg(data)
    if data.startswith(tiff.STARTS):
        return tiff.stored_tiff(data)
    if data.startswith(avif.BRANDS, 4):
        return avif.stored_avif(data)
    return Stored(data)


def _pixels(stored: Stored) -> Picture:
    with _decoded(stored.data) as image:
        stored = _completed(stored, image)
        colours, alpha = apart(image, stored)
        wide = wide_grey(image, stored)
        rgb = to_srgb(colours if wide is None else wide, stored.profile, stored.gamma)
        return np.ascontiguousarray(
            np.asarray(upright(on_white(rgb, alpha), stored.orientation or 1))
        )


def _decoded(data: bytes) -> Image.Image:
    if data.startswith(jpeg.START):
        return jpeg.decode_jpeg(data)
    image = opened(data)
    if image.format not in STILL_FORMATS and getattr(image, "n_frames", 1) > 1:
        raise PictureError(f"animated or multi-page ({image.format}): give a single picture")
    image.load()
    return image


def _completed(stored: Stored, image: Image.Image) -> Stored:
    """What is stored, with what only Pillow has read of it."""
    if stored.orientation is None:
        # JPEG XL's decoder has turned the image already, unless it is a JPEG that was packed.
        is_turned = image.format == "JXL" and not getattr(image, "jpeg", False)
        exif = None if is_turned else image.info.get("exif")
        stored = replace(stored, orientation=orientation(exif))
    if stored.profile is None:
        stored = replace(stored, profile=image.info.get("icc_profile"))
    if (
        image.format == "TGA" and not stored.data[17] & 0x0F
    ):  # bits of alpha in its 32 bits of pixel
        stored = replace(stored, opaque=True)
    return stored
