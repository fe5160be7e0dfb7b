"""Nothing in a picture's file but its pixels, orientation and profile can fail it, whatever the container."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from shared.errors import PictureError
from shared.pictures import Picture, picture_from_bytes
from tests.patience import PATIENCE
from tests.picture_files import (
    chunk,
    encoded,
    exif,
    png,
    segment,
    tiff,
    tiff_fields,
    with_segments,
)

NOISE = np.random.default_rng(5)
#: No two pixels are alike, so that every turn shows.
SMALL = NOISE.integers(0, 256, (5, 8, 3), np.uint8)
#: Smooth, so that JPEG keeps it.
ROWS, COLUMNS = np.mgrid[0:48, 0:64]
SMOOTH = np.dstack([ROWS * 5, COLUMNS * 4, 255 - ROWS * 5]).astype(np.uint8)
TURNED = {
    1: SMALL,
    2: SMALL[:, ::-1],
    3: SMALL[::-1, ::-1],
    4: SMALL[::-1],
    5: SMALL.swapaxes(0, 1),
    6: np.rot90(SMALL, -1),
    7: np.rot90(SMALL, 2).swapaxes(0, 1),
    8: np.rot90(SMALL),
}
#: A fraction that is a signed one, of which a part has no such sign, and one that points beyond the block.
ODD_RESOLUTION = struct.pack("<HHII", 0x011A, 10, 1, 26)
FAR_AWAY = struct.pack("<HHII", 0x8769, 4, 1, 0xFFFFFFF0)


def same(found: Picture, wanted: Any) -> None:
    np.testing.assert_array_equal(found, wanted)


def rgb_tiff(picture: Picture, **more: Any) -> tuple[dict[int, Any], bytes]:
    height, width, _ = picture.shape
    fields = {int(tag[1:]): value for tag, value in more.items()}
    return tiff_fields(width, height) | fields, picture.tobytes()


# Orientation


@pytest.mark.parametrize("turned", TURNED)
@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
def test_every_orientation(kind: str, turned: int) -> None:
    if kind == "png":
        data = png(SMALL, chunks=[chunk(b"eXIf", exif(turned, ">"))])
    elif kind == "tiff":
        data = tiff([rgb_tiff(SMALL, _274=(3, [turned]))])
    else:
        data = encoded(Image.fromarray(SMALL), "WEBP", lossless=True, exif=exif(turned))
    same(picture_from_bytes(data), TURNED[turned])


@pytest.mark.parametrize("more", [ODD_RESOLUTION, FAR_AWAY, b"\xff" * 12])
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_odd_exif_beside_an_orientation(kind: str, more: bytes) -> None:
    block = exif(6, "<", more) + b"\0\0\0\0\xff\xff\xff\xff"
    image = Image.fromarray(SMOOTH)
    if kind == "png":
        data = png(SMOOTH, chunks=[chunk(b"eXIf", block)])
    elif kind == "jpeg":
        data = with_segments(encoded(image, "JPEG"), segment(0xE1, b"Exif\0\0" + block))
    elif kind == "webp":
        data = encoded(image, "WEBP", lossless=True, exif=block)
    else:  # Pillow would not write it: what it wrote is changed to be as long and as odd
        plain = struct.pack("<HHI4s", 0x0131, 2, 4, b"abc\0")
        data = encoded(image, "AVIF", exif=exif(1, "<", plain)).replace(plain, more)
        assert more in data
    found = picture_from_bytes(data)
    if kind == "avif":  # a property of the image turns it, and EXIF does not
        assert found.shape == SMOOTH.shape
    else:
        assert np.abs(found.astype(int) - np.rot90(SMOOTH, -1)).mean() < 4


def test_jpeg_xl_is_turned_by_its_image_and_not_by_exif(tmp_path: Path) -> None:
    """As its standard has it; a JPEG that was packed in it is turned as that JPEG."""
    image = Image.fromarray(SMALL)
    same(picture_from_bytes(encoded(image, "JXL", lossless=True, exif=exif(6))), SMALL)
    file = tmp_path / "turned.jpg"
    Image.fromarray(SMOOTH).save(file, exif=b"Exif\0\0" + exif(6))
    with Image.open(file) as jpeg_file:
        packed = encoded(jpeg_file, "JXL", lossless_jpeg=True)
    same(picture_from_bytes(packed), picture_from_bytes(file.read_bytes()))


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"XX*\0" + exif(6)[4:],
        exif(6)[:12],
        exif(9),
        exif(0),
        exif(6).replace(struct.pack("<HHI", 0x0112, 3, 1), struct.pack("<HHI", 0x0112, 3, 2)),
        exif(6).replace(struct.pack("<HH", 0x0112, 3), struct.pack("<HH", 0x0112, 5)),
        b"II*\0\xff\xff\xff\xff",
    ],
)
def test_orientation_that_cannot_be_read_is_none(block: bytes) -> None:
    same(picture_from_bytes(png(SMALL, chunks=[chunk(b"eXIf", block)])), SMALL)
    plain = encoded(Image.fromarray(SMOOTH), "JPEG")
    odd = with_segments(plain, segment(0xE1, b"Exif\0\0" + block))
    same(picture_from_bytes(odd), picture_from_bytes(plain))


# PNG


@pytest.mark.parametrize(
    "odd",
    [
        chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(40 << 20), 9)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"x" * (2 << 20))),
        chunk(b"iCCP", b"huge\0\0" + zlib.compress(bytes(40 << 20), 9)),
        chunk(b"iCCP", b"no zlib\0\0nonsense"),
        chunk(b"tEXt", b"no end of key"),
        chunk(b"tEXt", b"key\0value")[:-1] + b"?",
        chunk(b"gAMA", b"\0\1\x86\xa0")[:-1] + b"?",
        chunk(b"gAMA", b""),
        chunk(b"gAMA", bytes(4)),
        chunk(b"pHYs", b"1"),
        chunk(b"cHRM", b""),
        chunk(b"sRGB", b""),
        chunk(b"tRNS", b"1"),
        chunk(b"eXIf", b""),
    ],
)
def test_no_other_chunk_fails_a_png_or_takes_memory(odd: bytes) -> None:
    data = png(SMALL, chunks=[odd])
    tracemalloc.start()
    same(picture_from_bytes(data), SMALL)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 25 << 20


def test_bad_pixels_of_a_png_are_still_refused() -> None:
    whole = png(SMALL)
    for bad in (whole[:-30], whole[:40], whole[:60] + b"?" + whole[61:], whole[:8]):
        with pytest.raises(PictureError):
            picture_from_bytes(bad)
    same(picture_from_bytes(whole + b"what follows is no picture"), SMALL)


# JPEG


@pytest.mark.parametrize(
    "odd",
    [
        segment(0xFE, b"a comment"),
        segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff"),
        segment(0xED, b"Photoshop 3.0\x008BIM\xff"),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>6</tiff:Orientation>"),
        segment(0xE2, b"ICC_PROFILE\0"),
        b"\xff\xff\xff" + segment(0xEF, b""),
    ],
)
def test_no_other_segment_fails_a_jpeg(odd: bytes) -> None:
    plain = encoded(Image.fromarray(SMOOTH), "JPEG")
    same(picture_from_bytes(with_segments(plain, odd)), picture_from_bytes(plain))


JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 2},
    "greyscale": {"mode": "L"},
    "halved colours": {"subsampling": "4:2:0"},
}


def jpeg(name: str) -> bytes:
    options: dict[str, Any] = dict(JPEGS[name])
    image = Image.fromarray(SMOOTH).convert(options.pop("mode", "RGB"))
    return encoded(image, "JPEG", **options)


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("padding", [b"", bytes(512), b"\xff" * 512])
def test_a_jpeg_that_lacks_its_end_marker_is_whole(name: str, padding: bytes) -> None:
    whole = jpeg(name)
    assert whole.endswith(b"\xff\xd9")
    same(picture_from_bytes(whole[:-2] + padding), picture_from_bytes(whole))


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("padding", [b"", bytes(64)])
def test_a_jpeg_that_lacks_rows_is_refused_wherever_it_was_cut(name: str, padding: bytes) -> None:
    whole = jpeg(name)
    wanted = picture_from_bytes(whole)
    read = []
    for cut in range(len(whole) - 1):
        try:
            same(picture_from_bytes(whole[:cut] + padding), wanted)
            read.append(cut)
        except PictureError:
            pass
    # The last bytes may be padding, or the first byte of the end marker.
    assert len(whole) - 2 in read
    assert all(cut >= len(whole) - 4 for cut in read)


def test_the_first_picture_of_an_mpo_is_taken() -> None:
    first, second = (Image.fromarray(one) for one in (SMOOTH, 255 - SMOOTH))
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    same(picture_from_bytes(data), picture_from_bytes(encoded(first, "JPEG")))


# TIFF

THUMBNAIL = rgb_tiff(SMALL[:2, :4], _254=(4, [1]))
OLD_THUMBNAIL = rgb_tiff(SMALL[:2, :4], _255=(3, [2]))
MASK = (tiff_fields(8, 5, (1,), 4) | {254: (4, [4])}, bytes(5))


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("others", [[THUMBNAIL], [OLD_THUMBNAIL], [MASK], [THUMBNAIL, MASK]])
def test_the_full_size_page_is_taken(others: list[Any], big: bool, order: str) -> None:
    page = rgb_tiff(SMALL)
    same(picture_from_bytes(tiff([page, *others], order, big=big)), SMALL)
    same(picture_from_bytes(tiff([*others, page], order, big=big)), SMALL)


def test_a_thumbnail_alone_is_a_picture() -> None:
    same(picture_from_bytes(tiff([THUMBNAIL])), SMALL[:2, :4])


def test_pages_of_full_size_are_refused() -> None:
    with pytest.raises(PictureError, match=r"multi-page \(2 full-size images in a TIFF\)"):
        picture_from_bytes(tiff([rgb_tiff(SMALL), THUMBNAIL, rgb_tiff(255 - SMALL)]))


@pytest.mark.parametrize("order", ["<", ">"])
def test_no_other_field_fails_a_tiff(order: str) -> None:
    odd = {
        "_34665": (4, [0xFFFFFFF0]),  # EXIF, beyond the file's end
        "_700": (1, [0xFF] * 9),  # XMP that is none
        "_305": (2, [0xFF] * 5),  # a text without end
        "_282": (4, [3]),  # a resolution that is no fraction
        "_330": (4, [8, 8, 8]),  # further directories where none are
        "_33723": (77, [1]),  # of no known type
    }
    same(picture_from_bytes(tiff([rgb_tiff(SMALL, **odd)], order)), SMALL)


def test_directories_without_end() -> None:
    """Each is done with in time: a ring, a directory at its own end, more fields than there are bytes."""
    ring = bytearray(tiff([rgb_tiff(SMALL)]))
    first = struct.unpack_from("<I", ring, 4)[0]
    ring[-4:] = struct.pack("<I", first)
    same(picture_from_bytes(bytes(ring)), SMALL)
    for bad in (
        b"II*\0" + struct.pack("<I", 8) + b"\xff" * 8,
        b"II+\0" + struct.pack("<HHQ", 8, 0, 16) + b"\xff" * 64,
        b"II+\0" + struct.pack("<HHQ", 8, 0, 2**64 - 1),
        b"MM\0*" + struct.pack(">I", 1) + bytes(1000),
        # 9000 directories that overlap, each of thousands of fields
        b"II*\0"
        + struct.pack("<I", 8)
        + b"".join(struct.pack("<I", 5000 + n) for n in range(9000)),
    ):
        with pytest.raises(PictureError):
            picture_from_bytes(bad)


# Others that store several images


def test_the_primary_image_of_a_heic_is_taken() -> None:
    big = Image.fromarray(np.kron(SMOOTH, np.ones((2, 2, 1), np.uint8)))
    other = Image.fromarray(255 - SMOOTH)
    for images, primary in (([big, other], 0), ([other, big], 1)):
        file = pillow_heif.HeifFile()
        for image in images:
            file.add_from_pillow(image)
        buffer = io.BytesIO()
        file.save(buffer, quality=-1, primary_index=primary)
        found = picture_from_bytes(buffer.getvalue()).astype(int)
        assert np.abs(found - np.asarray(big)).mean() < 3


def test_the_composite_of_a_psd_is_taken() -> None:
    height, width, _ = SMALL.shape
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, height, width, 8, 3)
    channels = b"".join(struct.pack(">hI", number, 2) for number in (0, 1, 2))
    layer = struct.pack(">4IH", 0, 0, 0, 0, 3) + channels + b"8BIMnorm" + bytes((255, 0, 0, 0))
    layer += struct.pack(">I", 12) + bytes(12)
    info = struct.pack(">h", 2) + 2 * layer + 6 * bytes(2)
    layers = struct.pack(">I", len(info)) + info + bytes(4)
    data = header + bytes(8) + struct.pack(">I", len(layers)) + layers
    data += bytes(2) + SMALL.transpose(2, 0, 1).tobytes()
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 2
    same(picture_from_bytes(data), SMALL)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_animations_are_refused(kind: str) -> None:
    first, second = (Image.fromarray(one) for one in (SMOOTH, 255 - SMOOTH))
    data = encoded(first, kind, save_all=True, append_images=[second])
    with pytest.raises(PictureError, match=rf"animated or multi-page \({kind}\)"):
        picture_from_bytes(data)


# What is said


def test_remarks_of_decoders_stay_off_standard_error() -> None:
    """The file is one that Pillow warns of: its directory goes on beyond its end."""
    script = """
import sys
from shared.errors import PictureError
from shared.pictures import picture_from_bytes
try:
    picture_from_bytes(sys.stdin.buffer.read())
except PictureError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        input=b"II*\0" + struct.pack("<I", 8) + b"\xff" * 8,
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    assert (run.stdout, run.stderr) == (b"not a picture in any known format\n", b"")
