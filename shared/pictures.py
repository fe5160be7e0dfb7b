"""Files to pixels and back: any picture that Pillow reads becomes (H, W, 3) uint8 in sRGB.

Orientation (EXIF) is applied, colour profiles are converted, transparency is flattened on white,
greyscale and palettes are widened, 16-bit greyscale is rounded to 8 bits. What has no sensible 8-bit
sRGB form (float or 32-bit pixels, animations) is refused.
"""

from __future__ import annotations

import importlib
import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from shared.errors import LimitError, PictureError, SidewireError

__all__ = [
    "LARGEST_SIDE",
    "LUMA_WEIGHTS",
    "Picture",
    "check_picture",
    "picture_from_bytes",
    "read_picture",
    "write_atomically",
    "write_picture",
]

pillow_heif.register_heif_opener()
with suppress(ImportError):  # JPEG XL is an extra: its plugin is under the GPL
    importlib.import_module("pillow_jxl")

#: Widest and highest picture that can be encoded or decoded.
LARGEST_SIDE = 8192
#: Shares of R, G and B in luma (ITU-R BT.601).
LUMA_WEIGHTS = (0.299, 0.587, 0.114)
#: Modes that have a plain 8-bit RGB meaning once transparency is dealt with.
PLAIN_MODES = {"1", "L", "P", "RGB", "CMYK", "YCbCr"}
ALPHA_MODES = {"LA", "PA", "RGBA", "La", "RGBa"}
SIXTEEN_BIT_MODES = {"I;16", "I;16L", "I;16B", "I;16N"}

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


def _to_srgb(image: Image.Image) -> Image.Image:
    """Follow an embedded colour profile; a profile that cannot be read is ignored, as viewers do."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in {"L", "RGB", "CMYK"}:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


def _flatten(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    flat = Image.alpha_composite(white, rgba).convert("RGB")
    flat.info["icc_profile"] = image.info.get("icc_profile")
    return flat


def _pixels(image: Image.Image) -> Picture:
    check_side("width", image.width)
    check_side("height", image.height)
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise PictureError(f"animated or multi-page ({image.format}): give a single picture")
    image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN_BIT_MODES:
        wide = np.asarray(image).astype(np.uint32)
        grey = ((wide * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        image = _flatten(image)
    if image.mode not in PLAIN_MODES:
        raise PictureError(f"pixel mode {image.mode} has no 8-bit RGB form: convert it first")
    return np.ascontiguousarray(np.asarray(_to_srgb(image)))


def picture_from_bytes(data: bytes) -> Picture:
    """Decode an encoded picture (any format that Pillow knows, HEIC and JPEG XL included).

    Returns:
        (H, W, 3) uint8 in sRGB.

    Raises:
        PictureError: not a picture, damaged, animated, or of a pixel type with no 8-bit RGB form.
        LimitError: a side is over :data:`LARGEST_SIDE` (checked before pixels are read).
    """
    if not data:
        raise PictureError("the file is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return _pixels(image)
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


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file or nothing: a temporary neighbour, fsync, rename, fsync of the folder.

    Raises:
        SidewireError: the place cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise SidewireError(f"cannot write {path}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise SidewireError(f"cannot write {path}: {error.strerror}") from None


def write_picture(path: Path, picture: Picture) -> None:
    """Write pixels in the format that the file's ending names (``.png`` is lossless).

    Raises:
        PictureError, LimitError: unknown ending, or see :func:`check_picture`.
        SidewireError: the place cannot be written.
    """
    check_picture(picture)
    suffix = path.suffix.lower()
    name = Image.registered_extensions().get(suffix)
    if name is None or name not in Image.SAVE:
        raise PictureError(f"cannot write {path}: no picture format for the ending {suffix!r}")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, name)
    write_atomically(path, buffer.getvalue())
