"""Baselines: they are what they say, on pictures of any size, and fail with typed errors only."""

from __future__ import annotations

import io
import json
import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.codecs import codec_names, get_codec
from shared.codecs.baselines.files import FORMATS, PillowCodec, PillowFormat, jxl_quality
from shared.codecs.interface import TextPlacement
from shared.errors import CorruptStreamError, LimitError, QualityError, SidewireError
from shared.feed import read_feed
from shared.metrics import psnr
from shared.pictures import LARGEST_SIDE, Picture, picture_from_bytes

DATA = Path(__file__).parents[2] / "shared" / "data"

each_format = pytest.mark.parametrize("settings", FORMATS, ids=lambda settings: settings.format)


def textured(height: int, width: int) -> Picture:
    """Crossed waves with a little grain."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9), np.sin(y / 5), np.sin((x + y) / 14)], axis=2)
    grain = np.random.default_rng(0).normal(0, 3, waves.shape)
    pixels: Picture = np.clip(128 + 90 * waves + grain, 0, 255).astype(np.uint8)
    return pixels


@each_format
def test_registered_without_text(settings: PillowFormat) -> None:
    codec = get_codec(settings.name)
    assert settings.name in codec_names()
    assert codec.name == settings.name
    assert codec.text is TextPlacement.NOWHERE


@each_format
def test_rate_and_quality_rise_with_the_level(settings: PillowFormat) -> None:
    picture, codec = textured(192, 257), PillowCodec(settings)
    blobs = [codec.encode(picture, level).blob for level in codec.qualities]
    sizes = [len(blob) for blob in blobs]
    fidelities = [psnr(picture, codec.decode(blob).picture) for blob in blobs]
    assert sizes == sorted(sizes)
    assert fidelities == sorted(fidelities)


@each_format
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (31, 33)], ids=str)
def test_any_size_comes_back(settings: PillowFormat, size: tuple[int, int]) -> None:
    codec = PillowCodec(settings)
    encoded = codec.encode(textured(*size), codec.qualities[0])
    assert (encoded.height, encoded.width) == size
    decoded = codec.decode(encoded.blob).picture
    assert decoded.shape == (*size, 3)
    assert decoded.dtype == np.uint8


@each_format
def test_blob_is_the_native_file(settings: PillowFormat) -> None:
    codec = PillowCodec(settings)
    blob = codec.encode(textured(40, 50), codec.qualities[-1]).blob
    with Image.open(io.BytesIO(blob)) as image:
        assert image.format == settings.format
        assert image.size == (50, 40)


@each_format
def test_damaged_blobs_raise_the_typed_error(settings: PillowFormat) -> None:
    codec, draw = PillowCodec(settings), random.Random(0)
    blob = codec.encode(textured(96, 130), codec.qualities[2]).blob
    for blob_part in (
        b"",
        b"not a picture",
        *(blob[: draw.randrange(len(blob))] for _ in range(40)),
    ):
        with pytest.raises(CorruptStreamError, match=settings.name):
            codec.decode(blob_part)
    for _ in range(40):  # these formats have no checksum: a flipped bit may pass, never crash
        flipped = bytearray(blob)
        flipped[draw.randrange(len(blob))] ^= 1 << draw.randrange(8)
        with suppress(SidewireError):
            assert codec.decode(bytes(flipped)).picture.dtype == np.uint8


def test_another_format_is_refused() -> None:
    webp, jpeg = get_codec("baseline/webp"), get_codec("baseline/jpeg")
    with pytest.raises(CorruptStreamError, match="not a WEBP file"):
        webp.decode(jpeg.encode(textured(16, 16), 40).blob)


@each_format
def test_limits(settings: PillowFormat) -> None:
    codec = PillowCodec(settings)
    with pytest.raises(QualityError, match="no quality 33"):
        codec.encode(textured(8, 8), 33)
    with pytest.raises(LimitError):
        codec.encode(np.zeros((1, LARGEST_SIDE + 1, 3), np.uint8), codec.qualities[0])


def test_jxl_quality_inverts_libjxl() -> None:
    for distance in (1.0, 2.5, 6.4, 6.5, 8.0, 15.0, 24.9):
        q = jxl_quality(distance)
        forward = 0.1 + 0.09 * (100 - q) if q >= 30 else 53 / 3000 * q * q - 23 / 20 * q + 25
        assert forward == pytest.approx(distance)


@pytest.mark.skipif(not (DATA / "test" / "kodak.parquet").exists(), reason="no Kodak pictures here")
def test_kodak_means_agree_with_a_separate_measurement() -> None:
    peers = json.loads((DATA / "peers-kodak.json").read_text())
    peer = next(row for row in peers if (row["fmt"], row["q"]) == ("webp", 5))
    codec = get_codec("baseline/webp")
    rates, fidelities = [], []
    for row in read_feed(DATA / "test" / "kodak.parquet"):
        picture = picture_from_bytes(row.image)
        encoded = codec.encode(picture, 5)
        rates.append(encoded.bits_per_pixel)
        fidelities.append(psnr(picture, codec.decode(encoded.blob).picture))
    assert np.mean(rates) == pytest.approx(peer["bpp"], rel=0.01)
    assert np.mean(fidelities) == pytest.approx(peer["psnr"], abs=0.05)
