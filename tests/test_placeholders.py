"""Placeholders: of any size, of the bytes that they are known for, and typed errors for damaged ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs import codec_names, get_codec
from shared.codecs.baselines import Placeholder, baseline, registry
from shared.codecs.interface import TextPlacement
from shared.errors import CorruptStreamError, LimitError, QualityError
from shared.feed import read_feed
from shared.metrics import psnr
from shared.pictures import LARGEST_SIDE, Picture, picture_from_bytes

FLICKR8K = Path(__file__).parents[2] / "shared" / "data" / "val" / "flickr8k-224.parquet"
NAMES = ("baseline/blurhash", "baseline/thumbhash", "baseline/webp-copy", "baseline/avif-copy")
SIZES = ((1, 1), (37, 211), (211, 37), (480, 640))

each = pytest.mark.parametrize("name", NAMES)


def smooth(height: int, width: int) -> Picture:
    """Slow waves in three colours."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack(
        [np.sin(5 * x / width), np.sin(4 * y / height), np.sin(3 * (x / width + y / height))], 2
    )
    pixels: Picture = (128 + 100 * waves).astype(np.uint8)
    return pixels


def placeholder(name: str) -> Placeholder:
    found = baseline(name)
    assert isinstance(found, Placeholder)
    return found


@each
def test_registered_without_text(name: str) -> None:
    codec = get_codec(name)
    assert name in codec_names()
    assert (codec.name, codec.text) == (name, TextPlacement.NOWHERE)
    assert not codec.decoder.reads_text


@each
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_size_comes_back_at_every_level(name: str, size: tuple[int, int]) -> None:
    codec, picture = placeholder(name), smooth(*size)
    for level in codec.qualities:
        encoded = codec.encode(picture, level)
        assert (encoded.height, encoded.width) == size
        decoded = codec.decode(encoded.blob).picture
        assert decoded.shape == picture.shape
        assert decoded.dtype == np.uint8


@each
def test_what_is_drawn_looks_like_the_picture(name: str) -> None:
    codec, picture = placeholder(name), smooth(120, 160)
    plain = np.full_like(picture, picture.mean(axis=(0, 1)))
    for level in codec.qualities:
        decoded = codec.decode(codec.encode(picture, level).blob).picture
        assert psnr(picture, decoded) > psnr(picture, plain) + 2


@each
def test_only_the_formats_own_bytes_are_counted(name: str) -> None:
    codec, picture = placeholder(name), smooth(48, 64)
    for level in codec.qualities:
        encoded = codec.encode(picture, level)
        assert encoded.counted == len(encoded.blob) - 4 == len(codec.written(picture, level))
        assert encoded.bits_per_pixel == 8 * encoded.counted / (48 * 64)
        assert encoded.blob[:4] == bytes([0, 64, 0, 48])


def test_a_blurhash_has_two_characters_a_cosine() -> None:
    codec = placeholder("baseline/blurhash")
    sizes = [codec.encode(smooth(60, 80), level).counted for level in codec.qualities]
    assert sizes == [28, 44, 76, 100, 166]


def test_a_blurhash_lies_as_the_picture_does() -> None:
    """Characters of its grid: the first says ``(columns - 1) + 9 (rows - 1)``, in base 83."""
    codec = placeholder("baseline/blurhash")
    assert codec.written(smooth(60, 80), 43)[:1] == b"L"
    assert codec.written(smooth(80, 60), 43)[:1] == b"T"


def test_a_thumbhash_has_about_25_bytes() -> None:
    codec = placeholder("baseline/thumbhash")
    assert all(15 <= codec.encode(smooth(*size), 0).counted <= 25 for size in SIZES)


@each
def test_rate_and_quality_rise_with_the_level(name: str, newswire: dict[str, Picture]) -> None:
    codec, picture = placeholder(name), next(iter(newswire.values()))
    encoded = [codec.encode(picture, level) for level in codec.qualities]
    sizes = [one.counted for one in encoded]
    fidelities = [psnr(picture, codec.decode(one.blob).picture) for one in encoded]
    assert sizes == sorted(sizes)
    assert fidelities == sorted(fidelities)


@each
def test_cut_blobs_raise_the_typed_error(name: str) -> None:
    codec = placeholder(name)
    for level in codec.qualities[:2]:
        blob = codec.encode(smooth(37, 53), level).blob
        for length in range(len(blob) - 1):
            with pytest.raises(CorruptStreamError, match=name):
                codec.decode(blob[:length])


@each
@given(data=st.data())
def test_damaged_blobs_raise_no_other_error(name: str, data: st.DataObject) -> None:
    """These formats have no checksum: damage may pass as another picture."""
    codec = placeholder(name)
    blob = bytearray(codec.encode(smooth(19, 23), codec.qualities[0]).blob)
    for place in data.draw(st.lists(st.integers(4, len(blob) - 1), min_size=1, max_size=4)):
        blob[place] = data.draw(st.integers(0, 255))
    with suppress(CorruptStreamError):
        assert codec.decode(bytes(blob)).picture.shape == (19, 23, 3)


@each
@given(blob=st.binary(max_size=80))
def test_noise_raises_no_other_error(name: str, blob: bytes) -> None:
    with suppress(CorruptStreamError):
        decoded = placeholder(name).decode(b"\0\x11\0\x0d" + blob).picture
        assert decoded.shape == (13, 17, 3)


@each
@pytest.mark.parametrize("side", [0, LARGEST_SIDE + 1])
def test_a_size_that_no_picture_has_is_damage(name: str, side: int) -> None:
    codec = placeholder(name)
    blob = codec.encode(smooth(8, 8), codec.qualities[0]).blob
    for size in ((side, 8), (8, side)):
        prefix = b"".join(one.to_bytes(2, "big") for one in size)
        with pytest.raises(CorruptStreamError, match=f"{size[0]}x{size[1]}"):
            codec.decode(prefix + blob[4:])


def test_a_file_too_large_to_be_a_copy_is_refused() -> None:
    whole = get_codec("baseline/webp").encode(smooth(97, 10), 0).blob
    with pytest.raises(CorruptStreamError, match="10x97 is too large"):
        get_codec("baseline/webp-copy").decode(b"\0\x0a\0\x61" + whole)


@each
def test_limits(name: str) -> None:
    codec = placeholder(name)
    with pytest.raises(QualityError, match="no quality 33"):
        codec.encode(smooth(8, 8), 33)
    with pytest.raises(LimitError):
        codec.encode(np.zeros((1, LARGEST_SIDE + 1, 3), np.uint8), codec.qualities[0])


@pytest.fixture
def fresh_registry() -> Iterator[None]:
    registry._known.cache_clear()
    yield
    registry._known.cache_clear()


@pytest.mark.usefixtures("fresh_registry")
@pytest.mark.parametrize(
    ("library", "name"), [("blurhash_rs", "blurhash"), ("thumbhash", "thumbhash")]
)
def test_without_its_library_a_hash_is_not_there(
    library: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"shared.codecs.baselines.{name}", raising=False)
    missing = f"baseline/{name}"
    assert set(NAMES) - set(registry.baseline_names()) == {missing}
    assert missing not in codec_names()


@pytest.mark.skipif(not FLICKR8K.exists(), reason="no Flickr8k pictures here")
@pytest.mark.parametrize(
    ("name", "level", "counted", "decibel"),
    [
        ("blurhash", 43, 28, 14.18),
        ("blurhash", 99, 166, 15.86),
        ("webp-copy", 16, 56, 16.13),
        ("webp-copy", 64, 187, 19.58),
    ],
)
def test_means_agree_with_a_separate_measurement(
    name: str, level: int, counted: int, decibel: float
) -> None:
    """On the first 60 held-out pictures."""
    codec, sizes, fidelities = placeholder(f"baseline/{name}"), [], []
    for _, row in zip(range(60), read_feed(FLICKR8K), strict=False):
        picture = picture_from_bytes(row.image)
        encoded = codec.encode(picture, level)
        sizes.append(encoded.counted)
        fidelities.append(psnr(picture, codec.decode(encoded.blob).picture))
    assert fmean(sizes) == pytest.approx(counted, abs=0.5)
    assert fmean(fidelities) == pytest.approx(decibel, abs=0.01)
