"""Means corrected by what is decoded: what each step knows, and that no symbol depends on the floats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shared.bundle import Bundle
from shared.codecs.loading import load_bundle
from shared.latents.hyperprior import Hyperprior
from shared.networks.context import STEPS, ContextSize, MeanContext
from shared.networks.slices import SliceSize
from shared.networks.transforms import Z_STRIDE
from shared.pictures import Picture
from tests.codecs import Whole, disturbed, whole
from tests.contexts import assert_means_depend_on_earlier_steps_alone
from tests.tiny_runs import LADDER, SIZE, config
from training.command import Places

LATENT, FEATURES, LEVELS = 8, 6, 3
QUALITY = torch.tensor([0, 2])
#: Of every kind.
CONTEXTS = (
    ContextSize(width=8, blocks=1),
    SliceSize(widths=(1, 2, 5), hidden=(8, 6)),
    SliceSize(widths=(1, 2, 5), checkerboard=True, hidden=(8, 6)),
)

Decode = Callable[[int, Tensor], Tensor]


@pytest.fixture(scope="module")
def context() -> MeanContext:
    """One that corrects: a fresh one is nearly silent."""
    torch.manual_seed(3)
    made = MeanContext(ContextSize(width=8, blocks=1), LEVELS, LATENT, FEATURES)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made.requires_grad_(False)


def test_unfolding_undoes_folding(context: MeanContext) -> None:
    x = torch.randn(2, LATENT, 8, 12)
    chunks = context.fold(x)
    assert [chunk.shape for chunk in chunks] == [(2, LATENT, 4, 6)] * STEPS
    assert torch.equal(context.unfold(list(chunks)), x)


def test_every_channel_is_decoded_once_at_every_place(context: MeanContext) -> None:
    """And each step decodes every channel at one place, a quarter of them at each of the four."""
    numbers = torch.arange(4 * LATENT).view(1, LATENT, 2, 2).float()
    chunks = [chunk.flatten().int() for chunk in context.fold(numbers)]
    assert torch.equal(torch.cat(chunks).sort().values, torch.arange(4 * LATENT))
    for chunk in chunks:
        assert torch.equal(chunk // 4, torch.arange(LATENT))
        assert torch.equal((chunk % 4).bincount(), torch.full((4,), LATENT // 4))


def test_a_steps_means_depend_on_earlier_steps_alone(context: MeanContext) -> None:
    assert_means_depend_on_earlier_steps_alone(context, LATENT, FEATURES, QUALITY)


@pytest.mark.parametrize("size", CONTEXTS, ids=["steps", "slices", "checkerboard"])
def test_a_context_whose_exits_are_silent_is_the_plain_hyperprior(
    size: ContextSize | SliceSize,
) -> None:
    torch.manual_seed(2)
    plain = Hyperprior(SIZE)
    corrected = Hyperprior(SIZE.model_copy(update={"context": size}))
    corrected.h_mu.load_state_dict(plain.h_mu.state_dict())
    assert corrected.context is not None
    for parameter in corrected.context.exit.parameters():
        nn.init.zeros_(parameter)
    z, quality = torch.randn(2, SIZE.hyper_latent, 2, 3).round(), torch.tensor([0, 1])
    y = torch.randn(2, SIZE.latent, 8, 12)

    def rounding(latent: Hyperprior) -> Decode:
        return lambda step, mean: mean + (latent.chunks(y)[step] - mean).round()

    with torch.no_grad():
        expected, found = (
            one.joined(one.passes(z, quality, rounding(one))) for one in (plain, corrected)
        )
    assert torch.equal(expected, found)


# -- a codec with a context, on a ladder of copies -----------------------------------------------

#: Heights and widths: beside whole blocks, below a block, and over a preview's edge.
SIZES = [(37, 211), (1, 1), (300, 500)]


@pytest.fixture(scope="module")
def bundle(training_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """As a run exports it, but for the context, which a few steps leave nearly silent."""
    folder = tmp_path_factory.mktemp("context")
    recipe = config(size=SIZE.model_dump(mode="json") | LADDER, steps=3, quantised_steps=2)
    recipe.carry_out(Places(training_data, folder / "run", folder / "bundle", workers=1))
    trained = load_bundle(folder / "bundle")
    assert trained.section("context")
    generator = torch.Generator().manual_seed(4)
    loud = {
        name: tensor + 0.3 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in trained.tensors.items()
        if name.startswith("context.")
    }
    return Bundle(trained.manifest, {**trained.tensors, **loud})


@pytest.fixture(scope="module")
def codec(bundle: Bundle) -> Whole:
    return whole(bundle)


@pytest.fixture(scope="module")
def other_machine(bundle: Bundle) -> Whole:
    return disturbed(bundle, 1e-3)


@pytest.fixture(scope="module", params=SIZES, ids="{0[0]}x{0[1]}".format)
def picture(request: pytest.FixtureRequest, kodak: dict[str, Picture]) -> Picture:
    height, width = request.param
    return np.ascontiguousarray(kodak["kodim23"][100 : 100 + height, 200 : 200 + width])


@pytest.mark.parametrize("level", range(2 * LADDER["levels"]))
def test_every_level_decodes_here_and_where_the_floats_are_off(
    level: int, codec: Whole, other_machine: Whole, picture: Picture
) -> None:
    """The checksum in each container verifies the symbols, also of what the other machine encodes."""
    blob = codec.encoder.encode_at(picture, level).blob
    here, there = codec.decode(blob), other_machine.decode(blob)
    assert here.symbols_crc32c == there.symbols_crc32c
    assert here.picture.shape == there.picture.shape == picture.shape
    codec.decode(other_machine.encoder.encode_at(picture, level).blob)


@pytest.mark.parametrize("dead_zone", [0.5, 0.8, np.inf])
def test_a_decoder_has_y_as_far_as_the_dead_zone_keeps_it(
    dead_zone: float, codec: Whole, picture: Picture
) -> None:
    encoder, decoder = codec.encoder.latent, codec.decoder.latent
    level = 2
    with torch.inference_mode():
        y = codec.encoder.analysis(picture, level)
        symbols = encoder.analyse(y, level, dead_zone)
        rows, columns = (side * 16 // Z_STRIDE for side in y.shape[2:])
        payload = encoder.compress(symbols, level)
        read = decoder.decompress(payload, level, rows, columns).symbols
        y_hat = decoder.reconstruct([read], [level])
    for found, expected in zip(read.coded, symbols.coded, strict=True):
        np.testing.assert_array_equal(found, expected)
    off, sent = (y - y_hat)[0].abs().numpy(), symbols.y != 0
    assert (symbols.index[sent] > 0).all()
    # What was sent is nearest to y; what was not, but could have been, was within the dead zone.
    assert off[sent].max(initial=0) <= 0.5 + 1e-4
    assert off[(symbols.index > 0) & ~sent].max(initial=0) <= dead_zone + 1e-4
    assert dead_zone < np.inf or not sent.any()
