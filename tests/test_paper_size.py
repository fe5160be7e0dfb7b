"""The paper-size networks of ``ssa``: shapes, parameter counts, a step of each phase, real streams."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shared.codecs.parts import Parts
from shared.networks.cheng import ChengAnalysis, ChengSize, ChengSynthesis
from shared.networks.elic import ElicAnalysis, ElicSize, ElicSynthesis
from shared.networks.hific import HificAnalysis, HificSize, HificSynthesis
from shared.networks.packed import pack_convolutions
from shared.networks.precision import ready
from shared.networks.stages import AnalysisTransform, Conditioning, SynthesisTransform
from shared.pictures import Picture
from shared.systems import ssa
from shared.systems.catalogue import TextPlacement
from tests.codecs import whole
from training.captioned import CaptionedPictures
from training.examples import CaptionedExamples
from training.export import export
from training.rate_distortion_run import RateDistortionRun
from training.recipes.rate_distortion import RateDistortion
from training.terms.mse import Mse
from training.terms.rate_target import RateTarget
from training.terms.step import Batch, Step

WORDS = 6
NARROW = {"hyper": 8, "text_width": WORDS, "text_hidden": 8, "mask_hidden": 4}
SMALL = {
    "hific": NARROW | {"g_s": {"kind": "hific", "base": 4, "latent": 8, "residual_blocks": 2}},
    "cheng": NARROW | {"g_s": {"kind": "cheng", "latent": 16}},
}
PAPER = {"hific": ssa.HIFIC, "cheng": ssa.CHENG}
#: Of the paper's widths. Nine residual blocks are one module nine times: two take a quarter of a step's time
#: and memory; all nine are counted, and have their shapes, elsewhere.
FEWER_BLOCKS = ssa.HIFIC.model_copy(update={"g_s": HificSize(residual_blocks=2)})


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def anchors() -> Any:
    """CompressAI's models."""
    # They take seconds to import, in every process that gathers the tests.
    from compressai import models  # noqa: PLC0415

    return models


def conv(kernel: int, before: int, after: int) -> int:
    """Parameters of a convolution."""
    return kernel**2 * before * after + after


def block(channels: int, text: int = 512, hidden: int = 512, mask: int = 100) -> int:
    """Parameters of an SSA block: mask predictor, and the two MLPs."""
    predictor = conv(3, channels, mask) + 2 * mask + conv(1, mask, 1)
    return predictor + 2 * (conv(1, text, hidden) + conv(1, hidden, channels))


def examples(words: int, side: int = 64) -> CaptionedExamples:
    """Smooth pictures with vectors in the place of sentences."""
    rng = torch.Generator().manual_seed(11)
    coarse = torch.rand(4, 3, 4, 4, generator=rng)
    x = nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    pictures = (255 * x).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    vectors = torch.randn(4, 5, words, generator=rng).numpy().astype(np.float16)
    return CaptionedExamples(CaptionedPictures(pictures, vectors, "made"), 0, 0.0)


def recipe(size: dict[str, object], **changes: object) -> RateDistortion:
    settings: dict[str, object] = {
        "name": "paper",
        "system": "ssa",
        "size": size,
        "told": "decoder",
        "target": {"target": 0.15, "over": 2.0},
        "train": ["-"],
        "validation": "-",
        "batch": 2,
        "steps": 2,
        "warmup_steps": 0,
        "adversarial_steps": 2,
        "quantised_steps": 2,
    }
    return RateDistortion.model_validate(settings | changes)


# -- sizes ----------------------------------------------------------------------------------------


def test_hific_has_the_papers_parameters() -> None:
    with torch.device("meta"):
        parts = ssa.parts(ssa.HIFIC)
    widths = [60, 120, 240, 480, 960]
    pairs = list(pairwise(widths))
    norms = 2 * sum(widths)
    encoder = conv(7, 3, 60) + sum(conv(3, a, b) for a, b in pairs) + conv(3, 960, 220) + norms
    residual = 2 * 220 + conv(3, 220, 960) + 2 * 960 + 9 * 2 * (conv(3, 960, 960) + 2 * 960)
    upsampling = sum(conv(3, b, a) + 2 * a for a, b in pairs)
    generator = residual + upsampling + conv(7, 60, 3) + sum(map(block, widths))
    assert count(parts.g_a) == encoder == 7_423_420
    assert count(parts.g_s) == generator == 162_985_608
    assert sum(map(block, widths)) == 6_210_925


def test_cheng_has_the_codecs_transforms_and_four_blocks() -> None:
    theirs = anchors().Cheng2020Attention(192)
    with torch.device("meta"):
        parts = ssa.parts(ssa.CHENG)
    assert count(parts.g_a) == count(theirs.g_a)
    assert count(parts.g_s) == count(theirs.g_s) + 3 * block(192) + block(3)


def test_cheng_without_attention_is_the_anchor_and_may_be_narrower_than_y() -> None:
    theirs = anchors().Cheng2020Anchor(128)
    size = ChengSize(latent=128, attention=False)
    wider = ChengSize(latent=320, width=128, attention=False)
    with torch.device("meta"):
        g_a, g_s = ChengAnalysis(size), ChengSynthesis(size)
        more_a, more_s = ChengAnalysis(wider), ChengSynthesis(wider)
    assert count(g_a) == count(theirs.g_a)
    assert count(g_s) == count(theirs.g_s)
    assert count(more_a) - count(g_a) == conv(3, 128, 320) - conv(3, 128, 128)
    first = conv(3, 320, 128) + conv(1, 320, 128)  # and a skip that narrows
    assert count(more_s) - count(g_s) == first - conv(3, 128, 128)


def test_a_size_as_the_papers_reads_as_it_always_did() -> None:
    """Model ids are hashes over it."""
    assert ssa.CHENG.model_dump(mode="json")["g_s"] == {"kind": "cheng", "latent": 192}


@pytest.mark.parametrize(("name", "masks"), [("hific", range(5)), ("cheng", range(1, 5))])
def test_shapes_at_paper_size(name: str, masks: range) -> None:
    with torch.device("meta"):
        parts = ssa.parts(PAPER[name])
        quality = torch.zeros(2, dtype=torch.int64)
        y = parts.g_a(torch.empty(2, 3, 64, 128), quality)
        x_hat, found = parts.g_s.masked(y, quality, Conditioning(torch.empty(2, 512)))
    assert y.shape[2:] == (4, 8)
    assert x_hat.shape == (2, 3, 64, 128)
    assert [mask.shape[1:] for mask in found] == [(1, 4 << i, 8 << i) for i in masks]


@pytest.mark.parametrize(
    ("analysis", "synthesis", "size"),
    [
        (ChengAnalysis, ChengSynthesis, ChengSize(latent=16)),
        (ElicAnalysis, ElicSynthesis, ElicSize(width=8, latent=16)),
        (HificAnalysis, HificSynthesis, HificSize(base=4, latent=16, residual_blocks=1)),
    ],
)
def test_transforms_run_as_a_codec_in_bfloat16_has_them(
    analysis: type[AnalysisTransform], synthesis: type[SynthesisTransform], size: object
) -> None:
    torch.manual_seed(0)
    quality, bfloat16 = torch.zeros(1, dtype=torch.int64), torch.bfloat16
    exact = analysis(size), synthesis(size)  # type: ignore[arg-type, call-arg]
    coarse = [ready(deepcopy(one), torch.device("cpu"), bfloat16) for one in exact]
    for network in coarse:
        pack_convolutions(network)
    x = torch.rand(1, 3, 64, 64) - 0.5
    with torch.inference_mode():
        y, rounded = exact[0](x, quality), coarse[0](x.to(bfloat16), quality)
        pictures = exact[1](y, quality), coarse[1](y.to(bfloat16), quality)
    assert rounded.dtype == pictures[1].dtype == bfloat16
    for expected, found in ((y, rounded), pictures):
        assert (found.float() - expected).abs().max() < 0.05 * expected.abs().max()


# -- the rate's target ----------------------------------------------------------------------------


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
    assert RateTarget(target=0.15, over=2.0).weight(bpp, step) == pytest.approx(weight)


def test_distortion_is_weighed_as_hific_does() -> None:
    x = torch.zeros(1, 3, 16, 16)
    batch = Batch(x, torch.zeros(1, dtype=torch.int64))

    def made(batch: Batch) -> object:
        return type("Made", (), {"x_hat": batch.x + 2 / 255})()

    step = Step(0, batch, made, learns=False)  # type: ignore[arg-type]
    assert Mse(torch.tensor([0.075 / 32]))(step).item() == pytest.approx(4 * 0.075 / 32)


# -- steps ----------------------------------------------------------------------------------------


def without_gradient(module: nn.Module) -> list[str]:
    return [
        name
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]


def all_finite(parts: Parts) -> bool:
    return all(bool(parameter.sum().isfinite()) for parameter in parts.parameters())


def told(run: RateDistortionRun, text: Tensor) -> tuple[Tensor, Tensor]:
    batch = run.batch(0, run.groups[0])
    run.parts.eval()
    with torch.no_grad():
        out = run.parts(batch.x, batch.quality, None, Conditioning(text))
    run.parts.train()
    assert out.bits is not None
    return out.x_hat, out.bits


@pytest.mark.parametrize("name", SMALL)
def test_words_change_the_picture_and_never_the_bits(name: str) -> None:
    run = RateDistortionRun(recipe(SMALL[name], batch=4), examples(WORDS))
    text = run.batch(0, run.groups[0]).text
    assert text is not None
    silence = torch.zeros_like(text)
    assert torch.equal(told(run, text)[0], told(run, silence)[0])  # blocks start as identity
    run.train_step()
    own, silent, others = told(run, text), told(run, silence), told(run, text.flip(0))
    assert not torch.equal(own[0], silent[0])
    assert not torch.equal(own[0], others[0])
    assert torch.equal(own[1], silent[1])
    assert torch.equal(own[1], others[1])


@pytest.mark.parametrize("name", SMALL)
def test_all_phases_learn_and_what_comes_out_codes(
    name: str, tmp_path: object, kodak: dict[str, Picture]
) -> None:
    """From the first step to a stream: the same modules are trained, exported and code."""
    settings = recipe(SMALL[name], steps=15, target={"target": 0.15, "over": 2.0})
    run = RateDistortionRun(settings, examples(WORDS))
    losses = [run.train_step() for _ in range(15)]
    assert min(losses[-5:]) < losses[0]
    assert without_gradient(run.parts.g_a) == []
    assert without_gradient(run.parts.g_s) == []
    while run.step < run.steps:
        assert np.isfinite(run.train_step())
    assert run.done == {"float": 15, "adversarial": 2, "integer": 2}
    assert all_finite(run.parts)
    folder = tmp_path / "bundle"  # type: ignore[operator]
    export(run, folder, folder / "no feed")
    codec = whole(folder)
    assert codec.text is TextPlacement.DECODER
    picture = kodak["kodim03"][:50, :70]
    encoded = codec.encode(picture, 0)
    assert codec.decode(encoded.blob).picture.shape == picture.shape


@pytest.mark.parametrize("size", [FEWER_BLOCKS, ssa.CHENG], ids=["hific", "cheng"])
def test_one_step_of_each_phase_at_paper_size(size: ssa.Size) -> None:
    settings = recipe(
        size.model_dump(mode="json"), steps=1, adversarial_steps=1, discriminator="paper"
    )
    run = RateDistortionRun(settings, examples(512))
    for phase in ("float", "adversarial"):
        assert np.isfinite(run.train_step()), phase
    assert without_gradient(run.parts.g_a) == []
    assert all_finite(run.parts)
