"""``ssa`` and its twin: blind senders, streams that decode without words, words that change the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from shared.bundle import load_bundle
from shared.codecs import get_codec, load_codec
from shared.codecs.base import HyperpriorCodec, shipped_bundle
from shared.codecs.interface import Decoded, TextPlacement
from shared.codecs.ssa import SsaCodec
from shared.compact import pack, unpack
from shared.errors import (
    BundleError,
    ContainerError,
    CorruptStreamError,
    ModelMismatchError,
    UnknownCodecError,
)
from shared.generator_bundle import (
    GeneratorBundle,
    load_generator_bundle,
    save_generator_bundle,
)
from shared.levels import luma_picture
from shared.metrics import psnr
from shared.networks.generator import GeneratorSize, SsaGenerator
from shared.networks.precision import Precision
from shared.networks.ssa import ChannelNorm, Conditioning, SemanticSpatialBlock
from shared.pictures import Picture

CAPTION = "A red door with a brass knocker in a wall of pale stone."
HOSTILE = ("", " \n", "\x00", "a" * 100_000, "\ud800", "<script>", "赤いドア", "́" * 500)


@pytest.fixture(scope="module")
def ssa(base_codec: HyperpriorCodec) -> SsaCodec:
    """The shipped generator in float32, its guard asleep."""
    bundle = load_generator_bundle(shipped_bundle("ssa"))
    return SsaCodec(bundle, base_codec, guard=False, precision=Precision.FLOAT32)


@pytest.fixture(scope="module")
def none(base_codec: HyperpriorCodec) -> SsaCodec:
    """The shipped twin in float32."""
    bundle = load_generator_bundle(shipped_bundle("none"))
    return SsaCodec(bundle, base_codec, precision=Precision.FLOAT32)


@pytest.fixture(scope="module")
def small(kodak: dict[str, Picture]) -> Picture:
    return kodak["kodim03"][:256, :320]


def test_text_stands_at_the_decoder_and_its_twin_has_none(ssa: SsaCodec, none: SsaCodec) -> None:
    assert ssa.text is TextPlacement.DECODER
    assert none.text is TextPlacement.NOWHERE
    assert ssa.levels == none.levels


def test_rates_of_the_levels_reach_below_three_hundredths_of_a_bit(
    ssa: SsaCodec, kodak: dict[str, Picture]
) -> None:
    rates = [
        np.mean([ssa.encode(picture, quality).bits_per_pixel for picture in kodak.values()])
        for quality in (ssa.qualities[0], ssa.qualities[-1])
    ]
    assert rates[0] < 0.03
    assert rates[1] < 0.15


@pytest.mark.parametrize(
    ("rows", "columns", "edge"), [(3, 5, 16), (8, 9, 8), (20, 16, 4), (64, 70, 1)]
)
def test_a_thumbnail_is_the_linear_picture_made_small(
    ssa: SsaCodec, rows: int, columns: int, edge: int
) -> None:
    y_hat = torch.randn(1, ssa.generator.expand.in_channels, rows, columns) * 3
    quality = torch.tensor([2])
    found = ssa.generator.thumbnail(y_hat, quality, 64)
    assert found.shape == (1, 1, rows * edge, columns * edge)
    linear = F.pixel_shuffle(ssa.generator.expand(ssa.generator.gain(y_hat, quality)), 16)
    luma = (linear * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    expected = F.avg_pool2d(luma + 0.5, 16 // edge).clamp(0, 1)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_the_stream_holds_no_colour(ssa: SsaCodec, small: Picture) -> None:
    """Whatever the colours were, equal luma gives equal bytes: they are left to the words."""
    assert ssa.encode(small, 1).blob == ssa.encode(luma_picture(small), 1).blob


def test_words_change_the_picture_and_never_the_symbols(ssa: SsaCodec, small: Picture) -> None:
    blob = ssa.encode(small, 2).blob
    silent, told = ssa.decode(blob), ssa.decode(blob, CAPTION)
    assert silent.trust is None
    assert told.trust == 1.0
    assert silent.symbols_crc32c == told.symbols_crc32c
    assert np.abs(silent.picture.astype(int) - told.picture).mean() > 0.05


@pytest.mark.parametrize("caption", HOSTILE)
def test_no_caption_can_fail_a_picture(ssa: SsaCodec, small: Picture, caption: str) -> None:
    blob = ssa.encode(small[:64, :64], 1).blob
    decoded = ssa.decode(blob, caption)
    assert decoded.picture.shape == (64, 64, 3)
    if not caption.strip():
        np.testing.assert_array_equal(decoded.picture, ssa.decode(blob).picture)


def test_either_generator_decodes_the_others_streams(
    ssa: SsaCodec, none: SsaCodec, small: Picture
) -> None:
    """Invariant: one frozen bitstream, many generators."""
    first, second = ssa.encode(small, 3), none.encode(small, 3)
    assert first.blob == second.blob
    a, b = ssa.decode(first.blob), none.decode(second.blob, CAPTION)
    assert a.symbols_crc32c == b.symbols_crc32c
    assert b.trust is None
    assert min(psnr(luma_picture(small), luma_picture(x.picture)) for x in (a, b)) > 22


def test_a_batch_is_what_its_pictures_are_alone(ssa: SsaCodec, kodak: dict[str, Picture]) -> None:
    shapes = [(64, 96), (64, 96), (80, 64), (64, 96)]
    crops = [p[:h, :w] for p, (h, w) in zip(kodak.values(), shapes, strict=False)]
    blobs = [ssa.encode(crop, i % 4).blob for i, crop in enumerate(crops)]
    captions = [CAPTION, None, CAPTION, "A parrot."]
    blobs[2:2] = [blobs[0][:-5], blobs[2][:-1] + bytes([blobs[2][-1] ^ 1])]
    captions[2:2] = [CAPTION, None]
    outcomes = ssa.decode_batch(blobs, captions)
    assert isinstance(outcomes[2], ContainerError)
    assert isinstance(outcomes[3], CorruptStreamError)
    for place, (blob, caption) in enumerate(zip(blobs, captions, strict=True)):
        if place not in {2, 3}:
            outcome, alone = outcomes[place], ssa.decode(blob, caption)
            assert isinstance(outcome, Decoded)
            assert np.abs(outcome.picture.astype(int) - alone.picture).max() <= 1


def test_large_pictures_run_in_windows_without_a_seam(
    ssa: SsaCodec, kodak: dict[str, Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = kodak["kodim23"][:512, :640]
    blob = ssa.encode(picture, 2).blob
    whole, masks = ssa.decode(blob, CAPTION).picture, ssa.insight(blob, CAPTION).masks
    monkeypatch.setattr("shared.codecs.ssa.TILE", 14)
    tiled = ssa.decode(blob, CAPTION).picture
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    for mask, other in zip(masks, ssa.insight(blob, CAPTION).masks, strict=True):
        np.testing.assert_allclose(mask, other, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (17, 300), (65, 64)])
def test_any_size_comes_back(ssa: SsaCodec, small: Picture, height: int, width: int) -> None:
    picture = small[:height, :width]
    decoded = ssa.decode(ssa.encode(picture, 3).blob, CAPTION).picture
    assert decoded.shape == picture.shape


def test_insight_shows_bits_and_masks(ssa: SsaCodec, small: Picture) -> None:
    blob = ssa.encode(small, 3).blob
    insight = ssa.insight(blob, CAPTION)
    assert insight.bits.shape == (16, 20)
    assert 0.5 * len(blob) < insight.bits.sum() / 8 < 1.1 * len(blob)
    assert [mask.shape for mask in insight.masks] == [(16, 20), (32, 40), (64, 80)]
    assert all(mask.min() >= 0 and mask.max() <= 1 for mask in insight.masks)


def test_foreign_streams_and_bundles_are_refused(
    ssa: SsaCodec, base_codec: HyperpriorCodec, golden_codec: HyperpriorCodec, small: Picture
) -> None:
    with pytest.raises(UnknownCodecError, match="codec id 1"):
        ssa.decode(base_codec.encode(small, 1).blob)
    blob = bytearray(ssa.encode(small, 1).blob)
    blob[4] ^= 1
    with pytest.raises(ModelMismatchError):
        ssa.decode(bytes(blob))
    bundle = load_generator_bundle(shipped_bundle("ssa"))
    with pytest.raises(BundleError, match="decodes the stream"):
        SsaCodec(bundle, golden_codec)
    short = {k: v for k, v in bundle.tensors.items() if "residual_ssa" not in k}
    with pytest.raises(BundleError, match="residual_ssa"):
        SsaCodec(GeneratorBundle(bundle.manifest, short), base_codec)


def test_a_bundle_folder_is_loaded_for_what_it_is(tmp_path: Path) -> None:
    assert isinstance(load_codec("ssa", shipped_bundle("none")), SsaCodec)
    assert isinstance(load_codec("base", shipped_bundle("base")), HyperpriorCodec)
    bundle = load_generator_bundle(shipped_bundle("ssa"))
    save_generator_bundle(tmp_path, bundle.manifest, bundle.tensors)
    again = load_generator_bundle(tmp_path)
    for name, tensor in bundle.tensors.items():
        torch.testing.assert_close(again.tensors[name], tensor, rtol=0, atol=1e-6)
    with (tmp_path / "tensors.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(BundleError, match="hash"):
        load_codec("ssa", tmp_path)


def test_packed_weights_are_a_quarter_and_near(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {"a.weight": torch.randn(64, 32, 3, 3), "a.bias": torch.randn(64)}
    packed = pack(tensors)
    assert packed["a.weight"].dtype is torch.int8
    out = unpack(packed)
    assert torch.equal(out["a.bias"], tensors["a.bias"])
    step = tensors["a.weight"].flatten(1).abs().amax(1) / 127
    error = (out["a.weight"] - tensors["a.weight"]).flatten(1).abs().amax(1)
    assert bool((error <= 0.51 * step).all())


# The networks


def test_channel_norm_has_hific_moments() -> None:
    x = torch.randn(2, 16, 3, 5) * 4 + 2
    norm = ChannelNorm(16)
    with torch.no_grad():
        norm.weight.fill_(2.0)  # type: ignore[union-attr]
    expected = 2 * (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-3).sqrt()
    torch.testing.assert_close(norm(x), expected)


def test_a_new_ssa_block_is_the_identity_and_trust_is_a_straight_line() -> None:
    torch.manual_seed(1)
    block = SemanticSpatialBlock(8, 12, 10, 6)
    y, text = torch.randn(2, 8, 4, 4), torch.randn(2, 12)
    torch.testing.assert_close(block(y, Conditioning(text)), y)
    for affine in (block.gamma, block.beta):
        torch.nn.init.normal_(affine.outer.weight)
    silent, told = block(y, Conditioning(0 * text)), block(y, Conditioning(text))
    assert (silent - told).abs().max() > 0.1
    for trust, expected in ((0.0, silent), (1.0, told), (0.25, 0.75 * silent + 0.25 * told)):
        out = block(y, Conditioning(text, torch.full((2,), trust)))
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


def test_eq_2_holds_at_each_place() -> None:
    """m * (gamma * norm(y) + beta), and the residual connection."""
    torch.manual_seed(2)
    block = SemanticSpatialBlock(8, 12, 10, 6)
    for affine in (block.gamma, block.beta):
        torch.nn.init.normal_(affine.outer.weight)
    y, words = torch.randn(1, 8, 3, 3), Conditioning(torch.randn(1, 12))
    out, mask = block.masked(y, words)
    gamma, beta = block.gamma(words)[0], block.beta(words)[0]
    place = y[0, :, 1, 2]
    norm = (place - place.mean()) / (place.var() + 1e-3).sqrt()
    torch.testing.assert_close(out[0, :, 1, 2], place + mask[0, 0, 1, 2] * (gamma * norm + beta))


def test_a_generator_starts_as_the_streams_own_synthesis() -> None:
    bundle = load_bundle(shipped_bundle("base"))
    stream = HyperpriorCodec(bundle, precision=Precision.FLOAT32)
    size = GeneratorSize(levels=2)
    generator = SsaGenerator(size)
    generator.start_from(stream.g_s, [3, 1])
    y_hat = torch.randn(1, size.latent, 5, 6)
    with torch.no_grad():
        for own, theirs in ((0, 3), (1, 1)):
            expected = stream.g_s(y_hat, torch.tensor([theirs]))
            words = Conditioning(torch.randn(1, size.text_width))
            found = generator(y_hat, torch.tensor([own]), words)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_shipped_codecs_are_registered() -> None:
    assert get_codec("ssa").name == "ssa"
    assert get_codec("none").name == "none"
