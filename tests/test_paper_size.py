"""The systems at the papers' sizes: shapes, parameter counts, objective, and training steps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from compressai.models import Cheng2020Attention
from pytorch_msssim import ssim
from torch import Tensor, nn

from shared.errors import UnknownCodecError
from shared.networks.ssa import Conditioning
from training.discriminator import Discriminator, paper_discriminator
from training.paper import PAPER_SYSTEMS, paper_recipe
from training.paper.cheng import ChengSize, cheng_system
from training.paper.hific import HificSize, hific_system
from training.paper.objective import SSA_OBJECTIVES, Objective
from training.paper.stages import AdversarialStage, DistortionStage, Recipe
from training.paper.system import PaperSystem, bits_of

WORDS = 6
HIFIC = HificSize(
    base=4, latent=8, hyper=8, residual_blocks=2, text_width=WORDS, text_hidden=8, mask_hidden=4
)
CHENG = ChengSize(channels=16, text_width=WORDS, text_hidden=8, mask_hidden=4)
SMALL: dict[str, Callable[[], PaperSystem]] = {
    "ssa-hific": lambda: hific_system(HIFIC),
    "ssa-cheng": lambda: cheng_system(CHENG),
}
OBJECTIVE = Objective(target=0.15, rate_over=2.0, start_rate=1e-3)


def small(name: str) -> PaperSystem:
    """The named system at small widths, the same each time."""
    torch.manual_seed(7)
    return SMALL[name]()


def dissimilarity(x_hat: Tensor, x: Tensor) -> Tensor:
    """1 - SSIM, as the perceptual distance of these tests."""
    out: Tensor = 1 - ssim(x_hat, x, data_range=1.0)
    return out


def batch(count: int, side: int = 64, words: int = WORDS) -> tuple[Tensor, Tensor]:
    """Smooth pictures (count, 3, side, side) in 0..1 and texts."""
    rng = torch.Generator().manual_seed(11)
    coarse = torch.rand(count, 3, 4, 4, generator=rng)
    x = nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return x, torch.randn(count, words, generator=rng)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def conv(kernel: int, before: int, after: int) -> int:
    """Parameters of a convolution."""
    return kernel**2 * before * after + after


def ssa(channels: int, text: int = 512, hidden: int = 512, mask: int = 100) -> int:
    """Parameters of an SSA block: mask predictor, and the two MLPs."""
    predictor = conv(3, channels, mask) + 2 * mask + conv(1, mask, 1)
    return predictor + 2 * (conv(1, text, hidden) + conv(1, hidden, channels))


# -- sizes ----------------------------------------------------------------------------------------


def test_hific_has_the_papers_parameters() -> None:
    with torch.device("meta"):
        system = hific_system()
    widths = [60, 120, 240, 480, 960]
    pairs = list(pairwise(widths))
    norms = 2 * sum(widths)
    encoder = conv(7, 3, 60) + sum(conv(3, a, b) for a, b in pairs) + conv(3, 960, 220) + norms
    residual = 2 * 220 + conv(3, 220, 960) + 2 * 960 + 9 * 2 * (conv(3, 960, 960) + 2 * 960)
    upsampling = sum(conv(3, b, a) + 2 * a for a, b in pairs)
    generator = residual + upsampling + conv(7, 60, 3) + sum(map(ssa, widths))
    synthesis = 2 * conv(5, 320, 320) + conv(3, 320, 220)
    bottleneck = 320 * (
        3 + 3 * 9 + 3 + 4 * 3 + 1 + 4 * 3 + 3
    )  # matrices, biases, factors, quantiles
    prior = conv(3, 220, 320) + 2 * conv(5, 320, 320) + 2 * synthesis + bottleneck
    assert count(system.encoder) == encoder == 7_423_420
    assert count(system.prior) == prior == 17_283_000
    assert count(system.generator) == generator == 162_985_608
    assert sum(map(ssa, widths)) == 6_210_925


def test_cheng_has_the_codecs_parameters_and_four_blocks() -> None:
    system = cheng_system()
    blocks = 3 * ssa(192) + ssa(3)
    assert count(system) == count(Cheng2020Attention(192)) + blocks == 32_849_794


def test_hific_shapes_at_paper_size() -> None:
    with torch.device("meta"):
        system = hific_system()
        y = system.encoder(torch.empty(2, 3, 96, 160))
        x_hat, masks = system.generator.masked(y, Conditioning(torch.empty(2, 512)))
    assert y.shape == (2, 220, 6, 10)
    assert x_hat.shape == (2, 3, 96, 160)
    assert [mask.shape[1:] for mask in masks] == [(1, 6 << i, 10 << i) for i in range(5)]


@pytest.mark.parametrize(
    ("name", "grid", "first"), [("ssa-hific", (4, 5), 1), ("ssa-cheng", (4, 8), 2)]
)
def test_pictures_of_odd_size_are_padded_and_cut(
    name: str, grid: tuple[int, int], first: int
) -> None:
    system = small(name)
    x, text = torch.rand(2, 3, 50, 70), torch.randn(2, WORDS)
    with torch.no_grad():
        out = system(x, Conditioning(text))
    assert out.x_hat.shape == x.shape
    assert out.y_hat.shape[2:] == grid
    assert torch.equal(system.padded(x)[..., :50, :70], x)
    assert out.masks[0].shape[2:] == (grid[0] * first, grid[1] * first)
    assert out.masks[-1].shape == (2, 1, grid[0] * 16, grid[1] * 16)
    assert all(mask.min() >= 0 and mask.max() <= 1 for mask in out.masks)


# -- what words reach -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_words_change_the_picture_and_never_the_bits(name: str) -> None:
    system = small(name)
    x, text = batch(2)

    def told(words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        torch.manual_seed(0)  # the same quantisation noise
        with torch.no_grad():
            out = system(x, Conditioning(words))
        return out.x_hat, out.y_hat, out.bpp

    assert torch.equal(told(text)[0], told(torch.zeros_like(text))[0])  # blocks start as identity
    DistortionStage(system, OBJECTIVE, None).train_step(x, text)
    own, silent, others = told(text), told(torch.zeros_like(text)), told(text.flip(0))
    assert not torch.equal(own[0], silent[0])
    assert not torch.equal(own[0], others[0])
    for result in (silent, others):
        assert torch.equal(own[1], result[1])
        assert torch.equal(own[2], result[2])


def test_bits_by_hand() -> None:
    y = torch.tensor([[0.5, 0.25], [1.0, 0.125]])
    z = torch.tensor([[0.5], [0.5]])
    assert bits_of(y, z).tolist() == [4.0, 4.0]


@pytest.mark.parametrize("name", SMALL)
def test_rates_are_over_true_pixels(name: str) -> None:
    """One latent grid, two picture sizes that pad to it: the same bits, more a pixel."""
    system = small(name)
    flat = torch.full((1, 3, 64, 64), 0.4)
    rates = []
    for side in (64, 56):
        torch.manual_seed(0)
        with torch.no_grad():
            out = system(flat[..., :side, :side], Conditioning(torch.zeros(1, WORDS)))
        rates.append((out.bpp * side**2).item())
    assert rates[0] > 0
    assert rates[0] == pytest.approx(rates[1])


# -- the objective --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bpp", "step", "weight"),
    [
        (0.16, 50_000, 2.0),
        (0.14, 50_000, 2**-6),
        (0.16, 49_999, 2**-7),  # the target is 0.214 in the first phase
        (0.22, 49_999, 1.0),  # and the weight above it is halved, not doubled
    ],
)
def test_rate_weight_switches_at_the_target(bpp: float, step: int, weight: float) -> None:
    assert SSA_OBJECTIVES[0].rate_weight(bpp, step) == pytest.approx(weight)


def test_three_rates_of_the_paper() -> None:
    assert [(one.target, one.rate_over) for one in SSA_OBJECTIVES] == [
        (0.15, 2.0),
        (0.30, 1.0),
        (0.45, 0.5),
    ]


def test_distortion_is_weighed_as_hific_does() -> None:
    x = torch.zeros(1, 3, 16, 16)
    x_hat = x + 2 / 255
    objective = SSA_OBJECTIVES[0]
    assert objective.distortion(x_hat, x, None).item() == pytest.approx(4 * 0.075 / 32)

    def distance(made: Tensor, real: Tensor) -> Tensor:
        return (made - real).mean() * 255

    assert objective.distortion(x_hat, x, distance).item() == pytest.approx(4 * 0.075 / 32 + 2)


def test_learning_rate_falls_once() -> None:
    objective = SSA_OBJECTIVES[0]
    rates = [objective.learning_rate(step) for step in (0, 499_999, 500_000)]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5])


# -- steps ----------------------------------------------------------------------------------------


def without_gradient(module: nn.Module) -> list[str]:
    return [
        name
        for name, parameter in module.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]


def all_finite(module: nn.Module) -> bool:
    return all(bool(parameter.sum().isfinite()) for parameter in module.parameters())


def small_adversarial(name: str, recipe: Recipe) -> AdversarialStage:
    system = small(name)
    latent = HIFIC.latent if name == "ssa-hific" else CHENG.channels
    size = paper_discriminator(latent, WORDS).model_copy(
        update={"widths": (8, 8, 8, 8), "fusion": 8}
    )
    return AdversarialStage(system, Discriminator(size), OBJECTIVE, dissimilarity, recipe)


@pytest.mark.parametrize("name", SMALL)
def test_distortion_stage_learns(name: str) -> None:
    stage = DistortionStage(small(name), OBJECTIVE, dissimilarity)
    x, text = batch(2)
    # Two steps: a block that starts as the identity lets no gradient past its last layer in the first.
    reports = [stage.train_step(x, text) for _ in range(2)]
    assert without_gradient(stage.system) == []
    reports += [stage.train_step(x, text) for _ in range(28)]
    assert all_finite(stage.system)
    assert reports[-1].mse < 0.5 * reports[0].mse
    assert reports[-1].loss < reports[0].loss


@pytest.mark.parametrize("name", SMALL)
def test_adversarial_stage_trains_both_sides(name: str) -> None:
    stage = small_adversarial(name, "joint")
    x, text = batch(2)
    reports = [stage.train_step(x, text, text.flip(0)) for _ in range(2)]
    assert without_gradient(stage.system) == []
    assert without_gradient(stage.discriminator) == []
    reports += [stage.train_step(x, text, text.flip(0)) for _ in range(8)]
    assert all_finite(stage.system)
    assert all_finite(stage.discriminator)
    first, last = reports[0].discriminator, reports[-1].discriminator
    assert first is not None
    assert last is not None
    assert last < first
    assert reports[-1].mse < reports[0].mse


@pytest.mark.parametrize("name", SMALL)
def test_frozen_recipe_moves_the_generator_alone(name: str) -> None:
    stage = small_adversarial(name, "frozen")
    system = stage.system
    x, text = batch(2)
    with torch.no_grad():
        system(x, Conditioning(text))  # CompressAI's masked convolution clears its weights when run
    before = {key: value.clone() for key, value in system.state_dict().items()}
    stage.train_step(x, text, text.flip(0))
    moved = {key for key, value in system.state_dict().items() if not value.equal(before[key])}
    assert moved
    assert all(key.startswith("generator.") for key in moved)


@pytest.mark.parametrize("name", PAPER_SYSTEMS)
def test_one_step_of_each_stage_at_paper_size(name: str) -> None:
    recipe = paper_recipe(name)
    torch.manual_seed(0)
    system = recipe.build()
    x, text = batch(1, words=512)
    report = DistortionStage(system, SSA_OBJECTIVES[0], dissimilarity).train_step(x, text)
    assert report.discriminator is None
    assert report.bpp > 0
    discriminator = Discriminator(recipe.discriminator)
    stage = AdversarialStage(system, discriminator, SSA_OBJECTIVES[0], dissimilarity, "joint")
    report = stage.train_step(x, text, text.flip(1))
    assert report.discriminator == pytest.approx(3 * 0.693, abs=0.5)  # nothing known: log 2 a part
    assert without_gradient(system) == []
    assert without_gradient(discriminator) == []
    assert all_finite(system)
    assert all_finite(discriminator)


def test_unknown_system_is_refused() -> None:
    with pytest.raises(UnknownCodecError, match="'ssa-none'; there are ssa-hific, ssa-cheng"):
        paper_recipe("ssa-none")
