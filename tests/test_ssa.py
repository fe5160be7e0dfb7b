"""``ssa`` and its twin: blind senders, streams that decode without words, words that change the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from shared.bitstream.container import Container
from shared.bundle import Bundle, Manifest, save_bundle, shipped_bundle
from shared.codecs import Decoded, TextPlacement, get_codec, halves, load_decoder, load_encoder
from shared.codecs.loading import load_bundle
from shared.compact import pack, unpack
from shared.errors import (
    BundleError,
    ContainerError,
    CorruptStreamError,
    ModelMismatchError,
    QualityError,
    UnknownCodecError,
)
from shared.metrics import psnr
from shared.networks.channel_norm import ChannelNorm
from shared.networks.ssa import SemanticSpatialBlock
from shared.networks.stages import Conditioning
from shared.pictures import Picture
from tests.codecs import Whole, whole
from training.fresh import fresh_parts

CAPTION = "A red door with a brass knocker in a wall of pale stone."
HOSTILE = ("", " \n", "\x00", "a" * 100_000, "\ud800", "<script>", "赤いドア", "́" * 500)


@pytest.fixture(scope="module")
def ssa() -> Whole:
    """The shipped generator in float32, its guard asleep."""
    return whole(shipped_bundle("ssa"), guard=False)


@pytest.fixture(scope="module")
def none() -> Whole:
    """The shipped twin in float32."""
    return whole(shipped_bundle("none"))


@pytest.fixture(scope="module")
def stream() -> Whole:
    """The stream that it stands on."""
    return whole(shipped_bundle("base"))


@pytest.fixture(scope="module")
def small(kodak: dict[str, Picture]) -> Picture:
    return kodak["kodim03"][:256, :320]


def test_text_stands_at_the_decoder_and_its_twin_has_none(ssa: Whole, none: Whole) -> None:
    assert ssa.text is TextPlacement.DECODER
    assert none.text is TextPlacement.NOWHERE
    assert ssa.qualities == none.qualities


def test_rates_reach_from_previews_to_an_eighth_of_a_bit(
    ssa: Whole, kodak: dict[str, Picture]
) -> None:
    pictures = list(kodak.values())[:3]
    rates = [
        np.mean([ssa.encode(picture, quality).bits_per_pixel for picture in pictures])
        for quality in (ssa.qualities[0], 11, ssa.qualities[-1])
    ]
    assert rates[0] < 0.005
    assert rates[1] < 0.045
    assert 0.1 < rates[2] < 0.15


@pytest.mark.parametrize(
    ("rows", "columns", "edge"), [(3, 5, 16), (8, 9, 8), (20, 16, 4), (64, 70, 1)]
)
def test_a_thumbnail_is_the_linear_picture_made_small(
    ssa: Whole, rows: int, columns: int, edge: int
) -> None:
    g_s = ssa.decoder.g_s
    y_hat = torch.randn(1, g_s.expand.weight.shape[1], rows, columns) * 3
    quality = torch.tensor([2])
    found = g_s.thumbnail(y_hat, quality, 64)
    assert found.shape == (1, 1, rows * edge, columns * edge)
    linear = F.pixel_shuffle(g_s.expand(g_s.gain(y_hat, quality)), 16)
    luma = (linear * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    expected = F.avg_pool2d(luma + 0.5, 16 // edge).clamp(0, 1)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_the_bits_are_those_of_the_stream(ssa: Whole, stream: Whole, small: Picture) -> None:
    """A frozen stream: but for the codec's id and the checksum over it, base writes the same bytes."""
    own, stream = ssa.encode(small, 13).blob, stream.encode(small, 13).blob
    assert len(own) == len(stream)
    assert own[-100:] == stream[-100:]


def test_a_sender_of_ssa_holds_no_generator() -> None:
    encoder = load_encoder("ssa")
    held = {name for name, _ in vars(encoder).items()}
    assert "g_s" not in held
    parameters = [*encoder.g_a.parameters(), *encoder.latent.parameters()]  # type: ignore[attr-defined]
    assert not any(parameter.is_meta for parameter in parameters)
    decoder = load_decoder("ssa")
    assert all(one.is_meta for one in decoder.latent.h_a.parameters())  # type: ignore[attr-defined]


def test_words_change_the_picture_and_never_the_symbols(ssa: Whole, small: Picture) -> None:
    blob = ssa.encode(small, 12).blob
    silent, told = ssa.decode(blob), ssa.decode(blob, CAPTION)
    assert silent.trust is None
    assert told.trust == 1.0
    assert silent.symbols_crc32c == told.symbols_crc32c
    assert np.abs(silent.picture.astype(int) - told.picture).mean() > 0.05


@pytest.mark.parametrize("caption", HOSTILE)
def test_no_caption_can_fail_a_picture(ssa: Whole, small: Picture, caption: str) -> None:
    blob = ssa.encode(small[:64, :64], 1).blob
    decoded = ssa.decode(blob, caption)
    assert decoded.picture.shape == (64, 64, 3)
    if not caption.strip():
        np.testing.assert_array_equal(decoded.picture, ssa.decode(blob).picture)


def test_either_generator_decodes_the_others_streams(
    ssa: Whole, none: Whole, small: Picture
) -> None:
    """Invariant: one frozen bitstream, many generators."""
    first, second = ssa.encode(small, 13), none.encode(small, 13)
    assert first.blob == second.blob
    a, b = ssa.decode(first.blob), none.decode(second.blob, CAPTION)
    assert a.symbols_crc32c == b.symbols_crc32c
    assert b.trust is None
    assert min(psnr(small, x.picture) for x in (a, b)) > 22


def test_a_batch_is_what_its_pictures_are_alone(ssa: Whole, kodak: dict[str, Picture]) -> None:
    shapes = [(64, 96), (64, 96), (80, 64), (64, 96)]
    crops = [p[:h, :w] for p, (h, w) in zip(kodak.values(), shapes, strict=False)]
    blobs = [ssa.encode(crop, (12, 3, 9, 15)[i]).blob for i, crop in enumerate(crops)]
    captions = [CAPTION, None, CAPTION, "A parrot."]
    blobs[2:2] = [blobs[0][:5], blobs[2][:-1] + bytes([blobs[2][-1] ^ 1])]
    captions[2:2] = [CAPTION, None]
    outcomes = ssa.decoder.decode_batch(blobs, captions)
    assert isinstance(outcomes[2], ContainerError)
    assert isinstance(outcomes[3], CorruptStreamError)
    for place, (blob, caption) in enumerate(zip(blobs, captions, strict=True)):
        if place not in {2, 3}:
            outcome, alone = outcomes[place], ssa.decode(blob, caption)
            assert isinstance(outcome, Decoded)
            assert np.abs(outcome.picture.astype(int) - alone.picture).max() <= 1


def test_large_pictures_run_in_windows_without_a_seam(
    ssa: Whole, kodak: dict[str, Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = kodak["kodim23"][:512, :640]
    blob = ssa.encode(picture, 12).blob
    whole, masks = ssa.decode(blob, CAPTION).picture, ssa.decoder.insight(blob, CAPTION).masks
    monkeypatch.setattr(halves, "TILE", 14)
    tiled = ssa.decode(blob, CAPTION).picture
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    for mask, other in zip(masks, ssa.decoder.insight(blob, CAPTION).masks, strict=True):
        np.testing.assert_allclose(mask, other, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (17, 300), (65, 64)])
def test_any_size_comes_back(ssa: Whole, small: Picture, height: int, width: int) -> None:
    picture = small[:height, :width]
    decoded = ssa.decode(ssa.encode(picture, 13).blob, CAPTION).picture
    assert decoded.shape == picture.shape


def test_insight_shows_bits_and_masks(ssa: Whole, small: Picture) -> None:
    blob = ssa.encode(small, 13).blob
    insight = ssa.decoder.insight(blob, CAPTION)
    assert insight.bits.shape == (16, 20)
    assert 0.5 * len(blob) < insight.bits.sum() / 8 < 1.1 * len(blob)
    assert [mask.shape for mask in insight.masks] == [(16, 20), (32, 40), (64, 80)]
    assert all(mask.min() >= 0 and mask.max() <= 1 for mask in insight.masks)


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("row", [2, 13])
def test_a_generator_opens_containers_of_the_stream_that_it_stands_on(
    ssa: Whole, stream: Whole, small: Picture, row: int, preview: bool
) -> None:
    """Levels are numbered on the container's own ladder: the stream has more of them."""

    def encoded(codec: Whole) -> bytes:
        ladder = codec.encoder.terms.ladder
        return codec.encoder.encode_at(
            small, (ladder.previews if preview else ladder.plain)[row]
        ).blob

    own, streams = encoded(ssa), encoded(stream)
    assert [Container.from_bytes(one).header.codec_id for one in (own, streams)] == [2, 1]
    outcomes = ssa.decoder.decode_batch([own, streams] * 2, [None, None, CAPTION, CAPTION])
    silent, found, told, found_told = (one for one in outcomes if isinstance(one, Decoded))
    np.testing.assert_array_equal(found.picture, silent.picture)
    np.testing.assert_array_equal(found_told.picture, told.picture)
    assert found_told.trust == told.trust == 1.0
    # Its symbols are held against its own header, as the stream's decoder does.
    assert found.symbols_crc32c == stream.decode(streams).symbols_crc32c
    np.testing.assert_array_equal(ssa.decoder.insight(streams).bits, ssa.decoder.insight(own).bits)


def test_a_damaged_container_of_the_stream_is_found_out(
    ssa: Whole, stream: Whole, small: Picture
) -> None:
    blob = bytearray(stream.encode(small, 13).blob)
    blob[-8] ^= 4
    with pytest.raises((CorruptStreamError, ContainerError)):
        ssa.decode(bytes(blob))


def test_levels_that_a_generator_lacks_are_refused(
    ssa: Whole, stream: Whole, small: Picture
) -> None:
    """Level 17 of the stream is no preview of the generator's, whose ladder has one of that number."""
    ladder = stream.encoder.terms.ladder
    beyond = [stream.encoder.encode_at(small, level).blob for level in (17, ladder.previews[17])]
    fits = stream.encode(small, 15).blob
    *refused, good = ssa.decoder.decode_batch([*beyond, fits], [None] * 3)
    for error, level in zip(refused, (17, ladder.previews[17]), strict=True):
        assert isinstance(error, QualityError)
        assert f"level {level} of base is beyond the lowest 16" in str(error)
    assert isinstance(good, Decoded)


def test_foreign_streams_and_bundles_are_refused(
    ssa: Whole, base_codec: Whole, golden_codec: Whole, small: Picture
) -> None:
    with pytest.raises(UnknownCodecError, match=r"codec id 2; base decodes 1 \(base\)"):
        base_codec.decode(ssa.encode(small, 1).blob)
    with pytest.raises(ModelMismatchError):
        ssa.decode(golden_codec.encode(small, 1).blob)
    container = Container.from_bytes(ssa.encode(small, 1).blob)
    foreign = bytes(byte ^ 1 for byte in container.header.model_id)
    theirs = replace(container, header=replace(container.header, model_id=foreign))
    with pytest.raises(ModelMismatchError):
        ssa.decode(theirs.to_bytes())
    bundle = load_bundle(shipped_bundle("ssa"))
    assert isinstance(bundle.manifest, Manifest)
    golden = bundle.manifest.model_copy(update={"model_id": golden_codec.model_id.hex() + "0" * 56})
    with pytest.raises(BundleError, match="decodes the stream"):
        whole(Bundle(golden, bundle.tensors))
    short = {k: v for k, v in bundle.tensors.items() if "at.coarse" not in k}
    with pytest.raises(BundleError, match=r"at\.coarse"):
        whole(Bundle(bundle.manifest, short))


def test_a_bundle_folder_is_loaded_for_what_it_is(tmp_path: Path) -> None:
    assert load_decoder("ssa", shipped_bundle("none")).name == "none"
    assert load_encoder("ssa", shipped_bundle("base")).name == "base"
    with pytest.raises(BundleError, match="holds a matcher"):
        load_decoder("ssa", shipped_bundle("judge"))
    bundle = load_bundle(shipped_bundle("ssa"))
    assert isinstance(bundle.manifest, Manifest)
    save_bundle(tmp_path, bundle.manifest, bundle.tensors)
    again = load_bundle(tmp_path)
    for name, tensor in bundle.tensors.items():
        torch.testing.assert_close(again.tensors[name], tensor, rtol=0, atol=1e-6)
    with (tmp_path / "tensors.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(BundleError, match="hash"):
        load_decoder("ssa", tmp_path)


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
    torch.testing.assert_close(block.masked(y, Conditioning(text))[0], y)
    for affine in (block.gamma, block.beta):
        torch.nn.init.normal_(affine.outer.weight)
    silent, told = (block.masked(y, Conditioning(t))[0] for t in (0 * text, text))
    assert (silent - told).abs().max() > 0.1
    for trust, expected in ((0.0, silent), (1.0, told), (0.25, 0.75 * silent + 0.25 * told)):
        out, _ = block.masked(y, Conditioning(text, torch.full((2,), trust)))
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


def test_words_are_heard_where_they_belong_and_none_is_a_learned_nothing() -> None:
    torch.manual_seed(3)
    block = SemanticSpatialBlock(8, 12, 10, 6, token_width=5)
    for affine in (block.gamma, block.beta):
        torch.nn.init.normal_(affine.outer.weight)
    y, words = torch.randn(2, 8, 4, 4), torch.randn(2, 3, 5)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    said = Conditioning(torch.zeros(2, 12), None, words, mask)
    heard = block.words
    assert heard is not None
    torch.nn.init.normal_(heard.nothing)
    out = heard(y, words, mask)
    # What is masked changes nothing; where no word stands, every place hears the same.
    torch.testing.assert_close(heard(y, torch.where(mask[..., None], words, 9.0), mask), out)
    assert out[0].flatten(1).std(1).max() > 1e-3
    assert out[1].flatten(1).std(1).max() < 1e-5
    silent, told = block.masked(y, said.silence)[0], block.masked(y, said)[0]
    torch.testing.assert_close(silent[1], told[1])
    assert (silent[0] - told[0]).abs().max() > 1e-3
    half, _ = block.masked(y, Conditioning(said.text, torch.full((2,), 0.5), words, mask))
    torch.testing.assert_close(half, (silent + told) / 2, rtol=1e-4, atol=1e-4)


def test_eq_2_holds_at_each_place() -> None:
    """m * (gamma * norm(y) + beta), and the residual connection."""
    torch.manual_seed(2)
    block = SemanticSpatialBlock(8, 12, 10, 6)
    for affine in (block.gamma, block.beta):
        torch.nn.init.normal_(affine.outer.weight)
    y, words = torch.randn(1, 8, 3, 3), Conditioning(torch.randn(1, 12))
    out, mask = block.masked(y, words)
    gamma, beta = block.gamma(words)[0, :, 0, 0], block.beta(words)[0, :, 0, 0]
    place = y[0, :, 1, 2]
    norm = (place - place.mean()) / (place.var() + 1e-3).sqrt()
    torch.testing.assert_close(out[0, :, 1, 2], place + mask[0, 0, 1, 2] * (gamma * norm + beta))


def test_a_generator_starts_as_the_streams_own_synthesis(stream: Whole) -> None:
    parts = fresh_parts("ssa", {"token_width": 384})
    y_hat, words = torch.randn(1, 192, 5, 6), torch.randn(1, 7, 384)
    mask = torch.ones(1, 7, dtype=torch.bool)
    given = Conditioning(torch.randn(1, parts.text_width), None, words, mask)
    with torch.no_grad():
        for level, scale in ((1, 4), (9, 2), (12, 1)):
            quality = torch.tensor([level])
            expected = stream.decoder.g_s(y_hat, quality, None, scale)
            found = parts.g_s(y_hat, quality, given, scale)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_shipped_codecs_are_registered() -> None:
    assert get_codec("ssa").name == "ssa"
    assert get_codec("none").name == "none"
