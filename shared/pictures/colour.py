"""Colours as the file has them to sRGB: by its profile, by its gamma, or as they are.

Where the profile is of another kind than the pixels (of grey for colours, say) or cannot be read, it is
ignored, as browsers do.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from shared.errors import PictureError
from shared.pictures.grey import WideGrey

__all__ = ["to_srgb"]

#: Modes that have a plain 8-bit RGB meaning.
PLAIN_MODES = frozenset({"1", "L", "P", "RGB", "CMYK", "YCbCr"})
GREY_SPACE = "GRAY"
#: Modes of pixels by the colour space of the profile that is for them, as ICC calls it.
MODES = {"RGB": "RGB", "CMYK": "CMYK"}


def to_srgb(
    image: Image.Image | WideGrey, profile: bytes | None, gamma: float | None
) -> Image.Image:
    """An image without alpha as RGB in sRGB.

    Args:
        profile: of the image; empty or None if it has none.
        gamma: the exponent that its samples were made with, where there is no profile.

    Raises:
        PictureError: the pixels have no 8-bit RGB form.
    """
    if isinstance(image, Image.Image):
        if image.mode not in PLAIN_MODES:
            raise PictureError(f"pixel mode {image.mode} has no 8-bit RGB form: convert it first")
        if image.mode not in {"L", "CMYK"}:
            image = image.convert("L" if image.mode == "1" else "RGB")
    converted = _by_profile(image, profile) if profile else None
    if converted is not None:
        return converted
    if gamma is not None:
        return _by_gamma(image, gamma)
    return _as_it_is(image)


def _by_profile(image: Image.Image | WideGrey, profile: bytes) -> Image.Image | None:
    """The image converted, None if the profile is not for it."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        is_grey = isinstance(image, np.ndarray) or image.mode == "L"
        if space == GREY_SPACE:
            return _grey_by_profile(image, source) if is_grey else None
        if is_grey and space == "RGB":
            image = _as_it_is(image)
        if isinstance(image, np.ndarray) or image.mode != MODES.get(space):
            return None
        return ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _grey_by_profile(
    image: Image.Image | WideGrey, source: ImageCms.ImageCmsProfile
) -> Image.Image:
    """Grey by the profile's curve, taken once for every value there is.

    Unless told not to, the library replaces the curve by 33 points of it, which is 10 levels off near black.
    """
    samples = np.asarray(image)
    ramp = np.arange(np.iinfo(samples.dtype).max + 1, dtype=samples.dtype).reshape(256, -1)
    ramp_image = Image.fromarray(ramp)
    transform = ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        ramp_image.mode,
        "RGB",
        flags=ImageCms.Flags.NOOPTIMIZE,
    )
    converted = ImageCms.applyTransform(ramp_image, transform)
    assert converted is not None  # only one in place gives none
    return Image.fromarray(np.asarray(converted).reshape(-1, 3)[samples])


def _by_gamma(image: Image.Image | WideGrey, gamma: float) -> Image.Image:
    if isinstance(image, Image.Image) and image.mode == "CMYK":
        return _as_it_is(image)
    samples = np.asarray(image)
    white = np.iinfo(samples.dtype).max
    light = np.linspace(0.0, 1.0, white + 1) ** (1 / gamma)
    return Image.fromarray(_srgb_curve(light)[samples]).convert("RGB")


def _srgb_curve(light: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Samples of sRGB for shares of the brightest light (IEC 61966-2-1)."""
    curved = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    samples: NDArray[np.uint8] = np.round(255 * curved).astype(np.uint8)
    return samples


def _as_it_is(image: Image.Image | WideGrey) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    rounded = (image.astype(np.uint32) * 255 + 32767) // 65535
    return Image.fromarray(rounded.astype(np.uint8)).convert("RGB")
