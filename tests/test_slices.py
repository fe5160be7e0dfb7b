"""Means from slices of channels, with a checkerboard and without: order of the steps, waste, real streams."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from shared.bundle import Bundle
from shared.codecs.loading import load_bundle
from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.networks.slices import CheckerboardConv, SliceContext, SliceSize
from shared.pictures import Picture
from tests.codecs import Whole, disturbed, whole
from tests.contexts import assert_means_depend_on_earlier_steps_alone
from tests.tiny_runs import SIZE, config
from training.command import Places

WIDTHS, FEATURES, LEVELS = (1, 2, 5), 6, 3
LATENT = sum(WIDTHS)
QUALITY = torch.tensor([0, 2])
#: Ends of the slices.
ENDS = list(accumulate(WIDTHS))


def slices(checkerboard: bool) -> SliceSize:
    return SliceSize(widths=WIDTHS, checkerboard=checkerboard, hidden=(8, 6))


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "checkerboard"])
def context(request: pytest.FixtureRequest) -> SliceContext:
    """One that corrects by much."""
    torch.manual_seed(3)
    made = SliceContext(slices(request.param), LEVELS, FEATURES)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    return made.requires_grad_(False)


def board(rows: int, columns: int) -> Tensor:
    """True at the places that are decoded first, (rows, columns)."""
    return (torch.arange(rows)[:, None] + torch.arange(columns)) % 2 == 0


# -- chunks ---------------------------------------------------------------------------------------


def test_unfolding_undoes_folding(context: SliceContext) -> None:
    x = torch.randn(2, LATENT, 8, 12)
    for kind in (torch.float32, torch.int16, torch.bool):
        values = (4 * x).to(kind)
        assert torch.equal(context.unfold(context.fold(values)), values)


def test_a_chunk_holds_one_slice_at_the_places_that_it_decodes(context: SliceContext) -> None:
    height, width = 4, 8
    places = torch.arange(height * width).view(1, 1, height, width)
    channels = torch.arange(LATENT).view(1, LATENT, 1, 1)
    found = context.fold(height * width * channels + places)
    each = 2 if context.checkerboard else 1
    assert len(found) == each * len(WIDTHS)
    black = board(height, width).flatten()
    for step, chunk in enumerate(found):
        k = step // each
        assert chunk.shape == (1, WIDTHS[k], height, width // each)
        channel, place = chunk // (height * width), chunk % (height * width)
        expected = torch.arange(ENDS[k] - WIDTHS[k], ENDS[k]).view(1, -1, 1, 1)
        assert torch.equal(channel, expected.expand_as(channel))
        for row in place.flatten(2)[0]:
            assert row.unique().numel() == row.numel()
            assert not context.checkerboard or (black[row] == (step % 2 == 0)).all()


def test_white_places_see_the_black_ones_as_in_a_masked_5x5_convolution() -> None:
    torch.manual_seed(5)
    folding = SliceContext(SliceSize(widths=(3,), checkerboard=True, hidden=(4, 4)), 1, FEATURES)
    conv = CheckerboardConv(3, 4)
    assert conv.across.weight[0, 0].numel() + conv.along.weight[0, 0].numel() == 12
    kernel = torch.zeros(4, 3, 5, 5)
    kernel[:, :, 0::2, 1::2], kernel[:, :, 1::2, 0::2] = conv.across.weight, conv.along.weight
    x = torch.randn(2, 3, 8, 12)
    on_the_grid = F.conv2d(x * board(8, 12), kernel, conv.across.bias, padding=2)
    black, _ = folding.fold(x)
    _, expected = folding.fold(on_the_grid[:, :3])
    torch.testing.assert_close(conv(black)[:, :3], expected, atol=1e-5, rtol=0)


# -- steps ----------------------------------------------------------------------------------------


def test_a_steps_means_depend_on_earlier_steps_alone(context: SliceContext) -> None:
    assert_means_depend_on_earlier_steps_alone(context, LATENT, FEATURES, QUALITY)


def hyperprior(checkerboard: bool, **changes: object) -> Hyperprior:
    sized = SIZE.model_copy(update={"context": slices(checkerboard), **changes})
    return Hyperprior(sized)


def test_slices_that_are_not_y_are_refused() -> None:
    size = SIZE.model_dump(mode="json")
    with pytest.raises(ValidationError, match="7 channels together, latent has 8"):
        HyperpriorSize.model_validate(size | {"context": {"widths": [3, 4]}})
    wrongs: list[dict[str, object]] = [{"widths": []}, {"widths": [8, 0]}]
    for wrong in (*wrongs, {"widths": [8], "blocks": 1}):
        with pytest.raises(ValidationError, match=r"widths|blocks"):
            HyperpriorSize.model_validate(size | {"context": wrong})


def test_a_size_says_which_context_it_has() -> None:
    for context in ({"width": 8, "blocks": 1}, slices(True).model_dump(mode="json")):
        size = HyperpriorSize.model_validate(SIZE.model_dump() | {"context": context})
        assert size.model_dump(mode="json")["context"] == context
        assert isinstance(size.context, SliceSize) == ("widths" in context)


# -- a codec that learns, and its streams -----------------------------------------------------------

#: Heights and widths: beside whole blocks, and below a block.
SIZES = [(37, 211), (1, 1)]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "checkerboard"])
def bundle(
    request: pytest.FixtureRequest, training_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """As a run exports it, but for the context, which a few steps leave nearly silent."""
    folder = tmp_path_factory.mktemp("slices")
    context = slices(request.param).model_dump(mode="json")
    size = SIZE.model_dump(mode="json") | {"context": context}
    recipe = config(size=size, steps=3, quantised_steps=2)
    recipe.carry_out(Places(training_data, folder / "run", folder / "bundle", workers=1))
    trained = load_bundle(folder / "bundle")
    assert trained.section("context")
    generator = torch.Generator().manual_seed(4)
    loud = {
        name: tensor + 0.2 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in trained.tensors.items()
        if name.startswith("context.")
    }
    return Bundle(trained.manifest, {**trained.tensors, **loud})


@pytest.fixture(scope="module")
def codec(bundle: Bundle) -> Whole:
    return whole(bundle)


@pytest.fixture(scope="module", params=SIZES, ids="{0[0]}x{0[1]}".format)
def picture(request: pytest.FixtureRequest, kodak: dict[str, Picture]) -> Picture:
    height, width = request.param
    return np.ascontiguousarray(kodak["kodim23"][100 : 100 + height, 200 : 200 + width])


@pytest.mark.parametrize("relative", [1e-5, 3e-2])
def test_streams_decode_to_the_same_symbols_where_floats_are_off(
    relative: float, bundle: Bundle, codec: Whole, picture: Picture
) -> None:
    """The checksum in each container verifies the symbols, also of what the other machine encodes."""
    other = disturbed(bundle, relative)
    for level in range(SIZE.levels):
        blob = codec.encoder.encode_at(picture, level).blob
        here, there = codec.decode(blob), other.decode(blob)
        assert here.symbols_crc32c == there.symbols_crc32c
        assert here.picture.shape == there.picture.shape == picture.shape
        codec.decode(other.encoder.encode_at(picture, level).blob)


def test_a_decoder_has_y_but_for_rounding(codec: Whole, picture: Picture) -> None:
    encoder, decoder, level = codec.encoder.latent, codec.decoder.latent, 1
    with torch.inference_mode():
        y = codec.encoder.analysis(picture, level)
        symbols = encoder.analyse(y, level)
        rows, columns = (side // 4 for side in y.shape[2:])
        payload = encoder.compress(symbols, level)
        read = decoder.decompress(payload, level, rows, columns).symbols
        y_hat = decoder.reconstruct([read], [level])
    for found, expected in zip(read.coded, symbols.coded, strict=True):
        np.testing.assert_array_equal(found, expected)
    off = (y - y_hat)[0].abs().numpy()
    assert off[symbols.index > 0].max(initial=0) <= 0.5 + 1e-4
