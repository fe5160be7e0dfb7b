"""The shipped ``base`` on real pictures: every level, any size, and the promises of its interface."""

from __future__ import annotations

import inspect
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from shared.bundle import shipped_bundle
from shared.codecs import Encoder, ToldEncoder, codec_names, get_codec, halves
from shared.entropy.scale_branch import IntegerScaleBranch
from shared.errors import LimitError, QualityError, UnknownCodecError
from shared.latents.hyperprior import Hyperprior
from shared.metrics import psnr
from shared.networks.precision import Precision
from shared.networks.tiling import tiles
from shared.pictures import Picture
from tests.codecs import Whole, whole

TEXT_WORDS = ("text", "caption", "words", "prompt", "sentence")


def test_a_codec_without_text_at_the_encoder_cannot_be_given_any() -> None:
    """Invariant: the sender is blind. There is no parameter that a caption could come in by."""
    for name in codec_names():
        codec = get_codec(name)
        assert isinstance(codec.encoder, ToldEncoder) == codec.text.at_encoder
        if not codec.text.at_encoder:
            parameters = inspect.signature(type(codec.encoder).encode).parameters
            assert list(parameters) == ["self", "picture", "quality"]
    assert not [name for name in vars(Encoder) if any(word in name for word in TEXT_WORDS)]


def test_rate_and_quality_rise_with_the_level(base_codec: Whole, kodak: dict[str, Picture]) -> None:
    picture = next(iter(kodak.values()))[:256, :384]
    encoded = [base_codec.encode(picture, quality) for quality in base_codec.qualities]
    values = [psnr(picture, base_codec.decode(one.blob).picture) for one in encoded]
    assert all(a.bits_per_pixel < b.bits_per_pixel for a, b in pairwise(encoded))
    assert all(a < b for a, b in pairwise(values))


def test_the_levels_reach_from_very_low_to_high_rates(
    base_codec: Whole, kodak: dict[str, Picture]
) -> None:
    lowest, highest = base_codec.qualities[0], base_codec.qualities[-1]
    pictures = list(kodak.values())[:3]
    rates = {
        quality: np.mean([base_codec.encode(p, quality).bits_per_pixel for p in pictures])
        for quality in (lowest, highest)
    }
    assert rates[lowest] < 0.004
    assert rates[highest] > 0.5


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 300), (65, 64), (63, 129), (200, 7), (130, 257)]
)
def test_any_size_comes_back(
    base_codec: Whole, kodak: dict[str, Picture], height: int, width: int
) -> None:
    picture = kodak["kodim23"][:height, 100 : 100 + width]
    decoded = base_codec.decode(base_codec.encode(picture, 6).blob).picture
    assert decoded.shape == picture.shape
    assert psnr(picture, decoded) > 24


def test_the_same_picture_gives_the_same_bytes(
    base_codec: Whole, kodak: dict[str, Picture]
) -> None:
    picture = kodak["kodim03"]
    first = base_codec.encode(picture, 3).blob
    assert base_codec.encode(picture.copy(), 3).blob == first
    again = base_codec.decode(first)
    np.testing.assert_array_equal(base_codec.decode(first).picture, again.picture)


def test_bfloat16_decodes_the_same_symbols_to_nearly_the_same_picture(
    base_codec: Whole, kodak: dict[str, Picture]
) -> None:
    other = whole(shipped_bundle("base"), Precision.BFLOAT16)
    picture = kodak["kodim15"]
    for quality in (1, 6):
        blob = base_codec.encode(picture, quality).blob
        exact, fast = base_codec.decode(blob), other.decode(blob)
        assert exact.symbols_crc32c == fast.symbols_crc32c
        assert psnr(exact.picture, fast.picture) > 40
        assert base_codec.decode(other.encode(picture, quality).blob).picture.shape == picture.shape


def test_windows_meet_without_a_seam(
    base_codec: Whole, newswire: dict[str, Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture in many windows is what it is in one."""
    picture = newswire["claudette-2003"][:700, :500]
    blob = base_codec.encode(picture, 5).blob
    y = base_codec.encoder.analysis(picture, 5)
    decoded = base_codec.decode(blob).picture
    monkeypatch.setattr(halves, "TILE", 12)
    tiled_y = base_codec.encoder.analysis(picture, 5)
    np.testing.assert_allclose(tiled_y.numpy(), y.numpy(), atol=2e-3, rtol=2e-4)
    tiled = base_codec.decode(blob).picture
    assert np.abs(tiled.astype(int) - decoded.astype(int)).max() <= 1


def test_tiles_cover_the_grid_once() -> None:
    seen = np.zeros((29, 41), int)
    for tile in tiles(29, 41, 8, 3):
        seen[tile.target(1)] += 1
        rows, columns = tile.window(1)
        assert rows.start <= tile.rows.start
        assert tile.columns.stop <= columns.stop
    assert (seen == 1).all()


def test_limits_and_levels_are_named(base_codec: Whole) -> None:
    with pytest.raises(LimitError, match="picture width is 8200, must be at most 8192"):
        base_codec.encode(np.zeros((8, 8200, 3), np.uint8), 0)
    with pytest.raises(QualityError, match="base has no quality 99; choose one of 0, 1, 2"):
        base_codec.encode(np.zeros((8, 8, 3), np.uint8), 99)
    with pytest.raises(
        UnknownCodecError, match="no codec 'bsae'; known: base, base-1, baseline/avif"
    ):
        get_codec("bsae")


def test_the_scale_branch_takes_at_most_a_fifth_of_a_gigamac(base_codec: Whole) -> None:
    """Multiply-accumulates at 768x512: z is 12x8, and each layer doubles the resolution."""
    latent = base_codec.encoder.latent
    assert isinstance(latent, Hyperprior)
    branch = latent.scale
    assert isinstance(branch, IntegerScaleBranch)
    positions = [96, 96 * 4, 96 * 16]
    macs = sum(
        layer.matrix.numel() * count for layer, count in zip(branch.layers, positions, strict=True)
    )
    assert macs <= 0.2e9


#: Peak resident memory of encoding and decoding 8192x8192 on a CPU, in a process of its own; and what of it
#: does not grow with the picture.
LARGEST_PICTURE_GIB = 3.0
WINDOWS_GIB = 1.0

BANNER = """
import numpy as np
from shared.codecs import get_codec
picture = np.empty((2048, 8192, 3), np.uint8)
picture[..., 0] = np.linspace(0, 255, 2048)[:, None]
picture[..., 1] = wave = 127 + 100 * np.sin(np.arange(8192) / 40.0)
picture[..., 2] = wave[:2048, None]
codec = get_codec("base")
blob = codec.encode(picture, 13).blob
decoded = codec.decode(blob).picture
assert decoded.shape == picture.shape
error = np.mean([np.square(decoded[i].astype(int) - picture[i]).mean() for i in range(0, 2048, 16)])
assert error < 60, error
# Not ru_maxrss, which begins with what the parent held.
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 2**20)
"""


def test_memory_grows_with_the_picture_as_stated() -> None:
    """A quarter of the largest picture, whose four minutes would be a tenth of all tests'."""
    run = subprocess.run(
        [sys.executable, "-c", BANNER], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < WINDOWS_GIB + (LARGEST_PICTURE_GIB - WINDOWS_GIB) / 4
