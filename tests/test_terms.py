"""Terms of the generator's loss: what viewers would say, and whether a picture shows its own caption."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from shared.bundle import shipped_bundle
from shared.codecs.parts import Pass
from shared.matcher_bundle import load_matcher
from shared.metrics import ssimulacra2
from shared.networks.matcher import Matcher
from shared.pictures import Picture
from training.terms.contrastive import TEMPERATURE
from training.terms.matching import Matching
from training.terms.semantic import BETA, mismatches, semantic_loss
from training.terms.step import Batch, ByLevel, Step
from training.terms.viewers import score, viewers_faults, weighted_faults


def tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


def blurred(picture: Picture) -> Picture:
    return (F.avg_pool2d(tensor(picture), 5, 1, 2)[0].permute(1, 2, 0) * 255).byte().numpy()


def noisy(picture: Picture) -> Picture:
    noise = np.random.default_rng(1).normal(0, 12, picture.shape)
    return (picture + noise).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", [blurred, noisy])
@pytest.mark.parametrize("side", [256, 200])  # six scales, and five
def test_the_score_is_that_of_the_package(
    kodak: dict[str, Picture], change: object, side: int
) -> None:
    assert callable(change)
    picture = kodak["kodim07"][100 : 100 + side, 200 : 200 + side]
    other = change(picture)
    found = score(tensor(other), tensor(picture)).item()
    assert found == pytest.approx(ssimulacra2(picture, other), abs=0.1)


def test_equal_pictures_have_no_faults(kodak: dict[str, Picture]) -> None:
    x = tensor(kodak["kodim07"][:128, :128])
    assert weighted_faults(x, x).item() == pytest.approx(0, abs=0.2)
    assert score(x, x).item() > 97


def test_its_gradient_leads_to_a_better_picture(kodak: dict[str, Picture]) -> None:
    picture = kodak["kodim07"][:128, :128]
    x, x_hat = tensor(picture), tensor(blurred(picture)).requires_grad_()
    before = weighted_faults(x_hat, x)
    before.sum().backward()
    assert x_hat.grad is not None
    better = x_hat.detach() - 0.01 * x_hat.grad / x_hat.grad.abs().max()
    assert weighted_faults(better, x).item() < before.item()


def test_a_level_has_its_own_weight() -> None:
    x = torch.rand(2, 3, 64, 64)
    batch = Batch(x, torch.tensor([1, 0]))
    step = Step(0, batch, lambda b: Pass(b.x.flip(3), torch.zeros(1), None), learns=False)
    each = viewers_faults(step)
    expected = (3 * each[0] + 2 * each[1]) / 2
    torch.testing.assert_close(ByLevel(torch.tensor([2.0, 3.0]), viewers_faults)(step), expected)


# -- matching ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return load_matcher(shipped_bundle("features"))[0]


def step_of(x: Tensor, captions: Tensor, told: Tensor) -> Step:
    batch = Batch(x, torch.zeros(len(x), dtype=torch.int64), captions, captions * told[:, None])
    return Step(0, batch, lambda b: Pass(b.x, torch.zeros(1), None), learns=False)


def test_pictures_that_show_their_captions_match_best(
    matcher: Matcher, kodak: dict[str, Picture]
) -> None:
    x = torch.cat([tensor(picture[:256, :256]) for picture in [*kodak.values()][:4]])
    shown = matcher(x)
    told = torch.ones(4)
    own, other = (Matching(1.0, matcher)(step_of(x, c, told)) for c in (shown, shown.roll(1, 0)))
    assert own < other
    assert Matching(2.0, matcher)(step_of(x, shown, told)) == pytest.approx(2 * own.item())


def test_only_what_is_told_counts_and_no_caption_is_no_rival(
    matcher: Matcher, kodak: dict[str, Picture]
) -> None:
    x = torch.cat([tensor(picture[:256, :256]) for picture in [*kodak.values()][:3]])
    captions = F.normalize(torch.randn(3, 384, generator=torch.Generator().manual_seed(0)))
    captions[2] = 0
    term = Matching(1.0, matcher)
    found = term(step_of(x, captions, torch.tensor([1.0, 0.0, 0.0])))
    pair = term(step_of(x[:2], captions[:2], torch.tensor([1.0, 0.0])))
    torch.testing.assert_close(found, pair, rtol=1e-3, atol=1e-3)
    assert term(step_of(x, captions, torch.zeros(3))) == 0


def test_the_semantic_loss_asks_both_directions_and_the_original(matcher: Matcher) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 3, 64, 64, generator=generator)
    captions = matcher(x)
    told = torch.tensor([1.0, 1.0, 0.0])
    step = step_of(x, captions, told)
    own = mismatches(step, matcher)
    logits = (matcher(x) @ captions.T / TEMPERATURE).float()
    both = -logits.log_softmax(1).diagonal() - logits.log_softmax(0).diagonal()
    torch.testing.assert_close(own, both * told, rtol=0.05, atol=0.05)
    assert bool((mismatches(step_of(x, captions.roll(1, 0), told), matcher) >= own).all())
    # The pictures are the originals here: nothing is missing in meaning.
    torch.testing.assert_close(semantic_loss(step, matcher), own, rtol=0.02, atol=BETA * 0.02)
