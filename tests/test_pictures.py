"""Reading pictures: every usual kind comes out right, and the rest is refused in one clear line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from shared.errors import LimitError, PictureError, SidewireError
from shared.pictures import (
    PictureHead,
    picture_from_bytes,
    picture_head,
    read_picture,
    write_atomically,
    write_picture,
)

RED_BLUE = np.zeros((4, 6, 3), np.uint8)
RED_BLUE[:, :3] = (255, 0, 0)
RED_BLUE[:, 3:] = (0, 0, 255)
WAVES = np.random.default_rng(0).integers(0, 2, (32, 32, 1), np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_rgb_is_untouched() -> None:
    np.testing.assert_array_equal(picture_from_bytes(encoded(Image.fromarray(RED_BLUE))), RED_BLUE)


def test_greyscale_and_bilevel_are_widened() -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    found = picture_from_bytes(encoded(Image.fromarray(grey)))
    np.testing.assert_array_equal(found, np.repeat(grey[..., None], 3, 2))
    black_white = Image.fromarray((grey > 100).astype(np.uint8) * 255).convert("1")
    assert set(picture_from_bytes(encoded(black_white)).flat) == {0, 255}


def test_sixteen_bit_greyscale_is_rounded() -> None:
    wide = np.array([[0, 257, 128, 129, 65535, 32896]], np.uint16)
    found = picture_from_bytes(encoded(Image.fromarray(wide)))
    assert found[0, :, 0].tolist() == [0, 1, 0, 1, 255, 128]


def test_palette_is_resolved() -> None:
    palette = Image.fromarray(RED_BLUE).quantize(4)
    np.testing.assert_array_equal(picture_from_bytes(encoded(palette, "GIF")), RED_BLUE)


def test_transparency_is_flattened_on_white() -> None:
    rgba = np.dstack([RED_BLUE, np.full((4, 6), 255, np.uint8)])
    rgba[0, 0, 3] = 0
    rgba[0, 1, 3] = 128
    found = picture_from_bytes(encoded(Image.fromarray(rgba)))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, 1].tolist() == [255, 127, 127]
    assert found[0, 2].tolist() == [255, 0, 0]


def test_a_transparent_palette_entry_is_flattened_too() -> None:
    palette = Image.fromarray(RED_BLUE).quantize(4)
    index = palette.getpixel((0, 0))
    found = picture_from_bytes(encoded(palette, "PNG", transparency=index))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, 5].tolist() == [0, 0, 255]


def test_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    data = encoded(Image.fromarray(RED_BLUE), "PNG", exif=exif)
    found = picture_from_bytes(data)
    assert found.shape == (6, 4, 3)
    assert found[0, 0].tolist() == [255, 0, 0]
    assert found[5, 3].tolist() == [0, 0, 255]


def test_cmyk_becomes_rgb() -> None:
    image = Image.fromarray(RED_BLUE).convert("CMYK")
    found = picture_from_bytes(encoded(image, "JPEG", quality=100)).astype(int)
    assert np.abs(found[:, 0] - (255, 0, 0)).max() < 40
    assert np.abs(found[:, 5] - (0, 0, 255)).max() < 40


def test_a_colour_profile_is_followed() -> None:
    """A picture tagged as sRGB stays as it is; one whose profile is broken does too."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(Image.fromarray(RED_BLUE), icc_profile=profile)
    assert np.abs(picture_from_bytes(data).astype(int) - RED_BLUE).max() <= 1
    broken = encoded(Image.fromarray(RED_BLUE), icc_profile=profile[:100])
    np.testing.assert_array_equal(picture_from_bytes(broken), RED_BLUE)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "WEBP", "JPEG"])
def test_other_formats_are_read(kind: str) -> None:
    big = np.kron(RED_BLUE, np.ones((16, 16, 1), np.uint8))
    found = picture_from_bytes(encoded(Image.fromarray(big), kind, quality=95)).astype(int)
    assert found.shape == big.shape
    assert np.abs(found[8, 8] - (255, 0, 0)).max() < 30


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"hello, this is no picture", "not a picture"),
        (encoded(Image.fromarray(np.kron(RED_BLUE, WAVES)), "JPEG")[:900], "damaged picture"),
        (encoded(Image.fromarray(np.zeros((3, 3), np.float32)), "TIFF"), "pixel mode F"),
        (encoded(Image.fromarray(np.zeros((3, 3), np.int32)), "TIFF"), "pixel mode I"),
        (
            encoded(
                Image.fromarray(RED_BLUE),
                "GIF",
                save_all=True,
                append_images=[Image.fromarray(255 - RED_BLUE)],
            ),
            "animated or multi-page",
        ),
    ],
)
def test_what_cannot_be_encoded_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        picture_from_bytes(data)


def test_too_long_a_side_is_refused_before_its_pixels_are_read() -> None:
    with pytest.raises(LimitError, match="picture width is 8193, must be at most 8192"):
        picture_from_bytes(encoded(Image.new("1", (8193, 2))))


def test_the_head_of_a_picture_is_known_without_its_pixels() -> None:
    data = encoded(Image.fromarray(np.kron(RED_BLUE, WAVES)), "JPEG")
    assert picture_head(data[:900]) == PictureHead("JPEG", 6 * 32, 4 * 32)
    for bad in (b"", b"hello, this is no picture"):
        with pytest.raises(PictureError):
            picture_head(bad)


def test_messages_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"cannot read .*missing\.png: No such file"):
        read_picture(tmp_path / "missing.png")
    (tmp_path / "text.png").write_text("no")
    with pytest.raises(PictureError, match=r"text\.png: not a picture"):
        read_picture(tmp_path / "text.png")


def test_writing_replaces_the_whole_file_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_picture(path, RED_BLUE)
    np.testing.assert_array_equal(read_picture(path), RED_BLUE)
    with pytest.raises(PictureError, match=r"no picture format for the ending '\.xyz'"):
        write_picture(tmp_path / "a.xyz", RED_BLUE)
    with pytest.raises(SidewireError, match="cannot write"):
        write_atomically(tmp_path / "no" / "such" / "folder", b"x")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
