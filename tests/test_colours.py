"""What a browser draws on a white sRGB canvas: profiles, gamma, transparency, grey of more than 8 bits."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from shared.errors import PictureError
from shared.pictures import Picture, picture_from_bytes
from tests.picture_files import (
    BLUE,
    GREEN,
    GREY,
    GREY_ALPHA,
    RED,
    RGB,
    chunk,
    encoded,
    iccp,
    png,
    profile,
    tiff,
    tiff_fields,
)

COLOURS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[200, 100, 50], [9, 9, 9], [250, 250, 250]]],
    np.uint8,
)
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
WIDE = np.arange(65536, dtype=np.uint16).reshape(256, 256)
#: Red and blue change places.
SWAPPED = profile((BLUE, GREEN, RED))
LINEAR_GREY = profile(None, gamma=1.0)


def srgb(light: NDArray[Any]) -> NDArray[np.float64]:
    """sRGB's curve: shares of the brightest light to samples, not rounded."""
    dark = 12.92 * light
    return 255 * np.where(light <= 0.0031308, dark, 1.055 * light ** (1 / 2.4) - 0.055)


def near(found: Picture, wanted: Any, levels: float = 1.0) -> None:
    wanted = np.asarray(wanted, np.float64)
    if wanted.ndim == 2:
        wanted = np.repeat(wanted[..., None], 3, 2)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= levels


def converted(picture: Picture, icc: bytes) -> Picture:
    """RGB by its profile."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    image = Image.fromarray(picture)
    done = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    return np.asarray(done)


def test_the_profile_of_these_tests_changes_places() -> None:
    found = converted(COLOURS, SWAPPED).astype(int)
    near(found[0, 0], [0, 0, 255], 2)
    near(found[0, 2], [255, 0, 0], 2)


# Profiles


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_profile_of_a_palette(kind: str) -> None:
    image = Image.fromarray(COLOURS).convert("P", palette=Image.Palette.ADAPTIVE)
    assert image.mode == "P"
    shown = np.asarray(image.convert("RGB"))
    near(picture_from_bytes(encoded(image, kind, icc_profile=SWAPPED)), converted(shown, SWAPPED))


def test_profile_larger_than_a_megabyte() -> None:
    large = profile((BLUE, GREEN, RED), padding=3 << 19)
    near(picture_from_bytes(png(COLOURS, chunks=[iccp(large)])), converted(COLOURS, SWAPPED))
    image = Image.fromarray(np.kron(COLOURS, np.ones((16, 16, 1), np.uint8)))
    found = picture_from_bytes(encoded(image, "JPEG", quality=100, icc_profile=large))
    near(found[8, 40], [255, 0, 0], 8)


def test_profile_of_grey() -> None:
    """Near black the curve is steep, and each value has its own place on it."""
    near(picture_from_bytes(png(RAMP, 8, GREY, [iccp(LINEAR_GREY)])), srgb(RAMP / 255))
    near(picture_from_bytes(png(WIDE, 16, GREY, [iccp(LINEAR_GREY)])), srgb(WIDE / 65535))


def test_profile_of_grey_with_alpha() -> None:
    alpha = np.full_like(RAMP, 255)
    alpha[:4], alpha[4:8] = 0, 128
    samples = np.dstack([RAMP, alpha])
    light = srgb(RAMP / 255) * (alpha / 255) + 255 * (1 - alpha / 255)
    near(picture_from_bytes(png(samples, 8, GREY_ALPHA, [iccp(LINEAR_GREY)])), light, 1.1)


def test_profile_of_colours_is_for_grey_too() -> None:
    data = png(RAMP, 8, GREY, [iccp(profile(gamma=1.0))])
    near(picture_from_bytes(data), srgb(RAMP / 255), 2)
    data = png(WIDE, 16, GREY, [iccp(SWAPPED)])
    near(
        picture_from_bytes(data),
        converted(np.repeat((WIDE >> 8).astype(np.uint8)[..., None], 3, 2), SWAPPED),
        2,
    )


def test_profile_of_another_space_is_ignored() -> None:
    near(picture_from_bytes(png(COLOURS, chunks=[iccp(LINEAR_GREY)])), COLOURS, 0)


def test_colours_are_converted_before_they_are_laid_on_white() -> None:
    """The white below is sRGB's, whatever white and curve the profile has."""
    dark = profile(gamma=4.0)
    alpha = np.full((2, 3, 1), 128, np.uint8)
    shown = converted(COLOURS, dark) * (128 / 255) + 255 * (127 / 255)
    found = picture_from_bytes(
        encoded(Image.fromarray(np.dstack([COLOURS, alpha])), icc_profile=dark)
    )
    near(found, shown)


# Gamma


def test_gamma_of_a_png() -> None:
    linear = chunk(b"gAMA", (100_000).to_bytes(4))
    near(picture_from_bytes(png(COLOURS, chunks=[linear])), srgb(COLOURS / 255))
    near(picture_from_bytes(png(RAMP, 8, GREY, [linear])), srgb(RAMP / 255))
    near(picture_from_bytes(png(WIDE, 16, GREY, [linear])), srgb(WIDE / 65535))


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(b"gAMA", (45_455).to_bytes(4))],  # a screen's, which is sRGB's but for its foot
        [chunk(b"gAMA", (100_000).to_bytes(4)), chunk(b"sRGB", b"\0")],
        [chunk(b"gAMA", (1).to_bytes(4))],
    ],
)
def test_gamma_that_says_nothing(chunks: list[bytes]) -> None:
    near(picture_from_bytes(png(COLOURS, chunks=chunks)), COLOURS, 0)


def test_a_profile_counts_more_than_gamma() -> None:
    chunks = [chunk(b"gAMA", (100_000).to_bytes(4)), iccp(SWAPPED)]
    near(picture_from_bytes(png(COLOURS, chunks=chunks)), converted(COLOURS, SWAPPED))


# One transparent sample


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_transparent_grey_of_every_depth(depth: int) -> None:
    top = (1 << depth) - 1
    samples = np.arange(1 << min(depth, 12), dtype=np.uint16)[None]
    clear = top // 2 if depth < 16 else 1800
    data = png(samples, depth, GREY, [chunk(b"tRNS", clear.to_bytes(2))])
    wanted = samples * 255.0 / top
    wanted[samples == clear] = 255
    near(picture_from_bytes(data), wanted, 0.5)


@pytest.mark.parametrize("depth", [8, 16])
def test_transparent_colour_of_either_depth(depth: int) -> None:
    """A sample that differs in its last bit alone is another."""
    samples = np.array([[[10, 20, 30], [10, 20, 31], [11, 20, 30], [10, 20, 30]]], np.uint16)
    samples += 256 * 7 * (depth == 16)
    clear = b"".join(int(one).to_bytes(2) for one in samples[0, 0])
    data = png(samples, depth, RGB, [chunk(b"tRNS", clear)])
    wanted = samples * 255.0 / ((1 << depth) - 1)
    wanted[0, [0, 3]] = 255
    near(picture_from_bytes(data), wanted)


# Grey of more than 8 bits


def packed(samples: NDArray[Any], bits: int, order: str) -> bytes:
    if bits == 16:
        return samples.astype(f"{order}u2").tobytes()
    nibbles = np.stack([samples >> 8, samples >> 4 & 15, samples & 15], -1).astype(np.uint8)
    flat = nibbles.reshape(-1, 2)
    return (flat[:, 0] << 4 | flat[:, 1]).tobytes()


@pytest.mark.parametrize(("bits", "order"), [(12, "<"), (16, "<"), (16, ">")])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_wide_grey_of_a_tiff(bits: int, order: str, white_is_zero: bool) -> None:
    top = (1 << bits) - 1
    samples = np.linspace(0, top, 64).round().astype(np.uint16).reshape(4, 16)
    stored = top - samples if white_is_zero else samples
    fields = tiff_fields(16, 4, (bits,), 0 if white_is_zero else 1)
    data = tiff([(fields, packed(stored, bits, order))], order)
    near(picture_from_bytes(data), samples * 255.0 / top, 0.51)


@pytest.mark.parametrize("white", [255, 300, 1023, 4095, 65535])
def test_grey_of_a_pgm(white: int) -> None:
    samples = np.linspace(0, white, 64).round().astype(np.uint16).reshape(4, 16)
    body = samples.astype(">u2" if white > 255 else np.uint8).tobytes()
    near(picture_from_bytes(b"P5 16 4 %d\n" % white + body), samples * 255.0 / white, 0.51)


def test_numbers_that_are_no_grey_are_refused() -> None:
    for kind in (np.int32, np.float32):
        with pytest.raises(PictureError, match="pixel mode"):
            picture_from_bytes(encoded(Image.fromarray(np.zeros((3, 3), kind)), "TIFF"))


# Alpha that is none


def test_a_tga_of_no_bits_of_alpha_is_opaque() -> None:
    rgba = np.dstack([COLOURS, np.zeros((2, 3, 1), np.uint8)])
    data = bytearray(encoded(Image.fromarray(rgba), "TGA"))
    near(picture_from_bytes(bytes(data)), np.full_like(COLOURS, 255), 0)
    assert data[17] & 15 == 8
    data[17] &= 0xF0
    near(picture_from_bytes(bytes(data)), COLOURS, 0)
