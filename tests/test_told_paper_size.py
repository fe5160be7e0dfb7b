"""``selic`` and ``taco`` at their papers' sizes: figures, parameter counts, a step, real streams."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from torch import nn

from shared.codecs.loading import load_codec
from shared.codecs.parts import Parts
from shared.latents.hyperprior import Hyperprior
from shared.networks.adapter import Exchange, Injector
from shared.networks.fusion import Fusion, LatentFusion
from shared.networks.stages import Conditioning
from shared.pictures import Picture
from shared.systems import selic, taco
from tests.test_paper_size import examples, recipe
from training.captioned import Words
from training.examples import CaptionedExamples
from training.export import export
from training.integers import Integers
from training.rate_distortion_run import RateDistortionRun
from training.recipes.rate_distortion import RateDistortion

#: The same figures, a few channels wide.
OWN = {
    "levels": 1,
    "latent": 16,
    "hyper_latent": 8,
    "hyper_hidden": 8,
    "scale_hidden": (4, 4),
}
SMALL: dict[str, dict[str, Any]] = {
    "selic": {
        "text_width": 6,
        "text_hidden": 8,
        "own": OWN | {"context": {"widths": (8, 8), "hidden": (8, 8)}},
        "transforms": {"latent": 16, "width": 8, "attention": False},
    },
    "taco": {
        "text_width": 6,
        "token_width": 16,
        "own": OWN | {"context": {"widths": (4, 12), "checkerboard": True, "hidden": (8, 8)}},
        "transforms": {"width": 8, "latent": 16},
    },
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def figure(module: Any, size: BaseModel) -> Parts:
    with torch.device("meta"):
        parts = module.parts(size)
    assert isinstance(parts, Parts)
    return parts


def linear(before: int, after: int) -> int:
    return before * after + after


def test_selic_has_its_fusion_before_coding() -> None:
    """Concatenation to 2M, one residual block back to M; the rest is Cheng's and ten slices."""
    parts = figure(selic, selic.PAPER)
    fusion = parts.g_a.at["latent"]
    assert isinstance(fusion, LatentFusion)
    assert fusion.fusion is Fusion.CONCATENATION
    block = (9 * 640 * 320 + 320) + (9 * 320 * 320 + 320) + 640 * 320
    assert count(fusion) == linear(768, 320) + linear(320, 320) + block
    assert count(parts.g_a) - count(fusion) == 2_079_040
    assert isinstance(parts.latent, Hyperprior)
    assert not parts.g_s.at


def test_taco_has_its_adapter_at_a_quarter_and_an_eighth() -> None:
    """ELIC, and the adapter's 0.9 million parameters beside its 7.3."""
    parts = figure(taco, taco.PAPER)
    injector, exchange = parts.g_a.at["quarter"], parts.g_a.at["eighth"]
    assert isinstance(injector, Injector)
    assert isinstance(exchange, Exchange)
    n, words = 192, 512
    attention = linear(n, n) + 2 * linear(words, n) + 2 * n + n * n
    assert count(injector) == 2 * n + 2 * words + attention + n
    extractor = words * words + 2 * words * n + 3 * words + linear(words, words)
    assert count(exchange) == count(injector) + 2 * n + 2 * words + extractor
    assert count(parts.g_a) - count(injector) - count(exchange) == 7_337_792
    assert not parts.g_s.at


def told_examples(tokens: int) -> CaptionedExamples:
    made = examples(6)
    if not tokens:
        return made
    shape = len(made.pictures), 5, 4, tokens
    said = torch.randn(shape, generator=torch.Generator().manual_seed(1)).numpy()
    lengths = np.full(shape[:2], 3, np.uint8)
    words = Words(said.astype(np.float16), lengths)
    return replace(made, pictures=replace(made.pictures, words=words))


@pytest.mark.parametrize("name", ["selic", "taco"])
def test_a_step_of_every_phase_and_real_streams(
    name: str, tmp_path: Any, kodak: dict[str, Picture]
) -> None:
    settings = recipe(SMALL[name]).model_dump() | {
        "system": name,
        "told": "encoder",
        "adversarial_steps": 0,
        "quantised_steps": 2,
    }
    run = RateDistortionRun(
        RateDistortion.model_validate(settings),
        told_examples(SMALL[name].get("token_width", 0)),
    )
    assert all(np.isfinite(run.train_step()) for _ in range(run.steps))
    export(run, tmp_path / "bundle", tmp_path / "none")
    codec = load_codec(name, tmp_path / "bundle")
    picture = kodak["kodim03"][:100, :150]
    blob = codec.encode(picture, 0).blob
    assert codec.decode(blob).picture.shape == picture.shape


@pytest.mark.parametrize("module", [selic, taco])
def test_a_step_at_the_papers_size(module: Any) -> None:
    """Gradients reach what reads the words, through the paper's own transforms."""
    torch.manual_seed(1)
    size = module.PAPER
    parts = module.parts(size)
    assert isinstance(parts.latent, Hyperprior)
    Integers(parts.latent, torch.device("cpu"))
    width = getattr(size, "token_width", 1)
    given = Conditioning(
        torch.randn(1, size.text_width),
        None,
        torch.randn(1, 5, width),
        torch.ones(1, 5, dtype=torch.bool),
    )
    out = parts(torch.rand(1, 3, 64, 64), torch.zeros(1, dtype=torch.int64), given)
    assert out.x_hat.shape == (1, 3, 64, 64)
    (out.bits.sum() + out.x_hat.square().mean()).backward()
    for conditioner in parts.g_a.at.values():
        found = [p.grad for p in conditioner.parameters() if p.grad is not None]
        assert any(float(gradient.abs().max()) > 0 for gradient in found)
