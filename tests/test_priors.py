"""The prior of z while it is learnt: each picture under its own level's densities."""

from __future__ import annotations

from typing import Any

import torch

from training.priors import LearntPrior

LEVELS, CHANNELS = 3, 4
#: Levels of the pictures of one batch, in no order.
QUALITY = torch.tensor([2, 0, 1, 1, 0, 2])


def learnt() -> tuple[LearntPrior, Any]:
    """A prior as if it had learnt, and CompressAI's bottleneck of all its levels' channels."""
    # It takes seconds to import, in every process that gathers the tests.
    from compressai.entropy_models import EntropyBottleneck  # noqa: PLC0415

    torch.manual_seed(1)
    prior = LearntPrior(LEVELS, CHANNELS)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    theirs = EntropyBottleneck(LEVELS * CHANNELS)
    theirs.load_state_dict(theirs.state_dict() | prior.state_dict())
    return prior, theirs


def test_each_picture_is_charged_by_its_own_level_whatever_the_batch_holds() -> None:
    """Held against CompressAI's bottleneck, which measures all levels' channels."""
    prior, theirs = learnt()
    z = 3 * torch.randn(len(QUALITY), CHANNELS, 2, 3)
    with torch.no_grad():
        bits = prior(z, QUALITY).sum(1)
        for one, level, charged in zip(z, QUALITY, bits, strict=True):
            everywhere = one.flatten(1).repeat(LEVELS, 1)[:, None]
            likelihood, _, _ = theirs._likelihood(everywhere)
            own = likelihood.unflatten(0, (LEVELS, CHANNELS))[level]
            torch.testing.assert_close(charged, -own.log2().sum(), rtol=1e-4, atol=1e-3)
        order = torch.tensor([5, 1, 3, 0, 2, 4])
        torch.testing.assert_close(prior(z[order], QUALITY[order]).sum(1), bits[order])
    assert len(bits.unique()) == len(bits)


def test_gradients_of_the_bits_are_those_of_the_bottleneck() -> None:
    """Also where a value is so unlikely that the charge is at its floor: it must still come nearer."""
    prior, theirs = learnt()
    n = LEVELS * CHANNELS
    z = torch.tensor([-90.0, -3.0, 0.2, 4.0, 90.0]).repeat(n, 1)
    ours, reference = (z.clone().requires_grad_() for _ in range(2))
    prior(ours.reshape(LEVELS, CHANNELS, 1, 5), torch.arange(LEVELS)).sum().backward()
    likelihood = theirs.likelihood_lower_bound(theirs._likelihood(reference[:, None])[0])
    (-likelihood.log2()).sum().backward()
    assert ours.grad is not None
    torch.testing.assert_close(ours.grad, reference.grad, rtol=1e-3, atol=1e-4)


def test_cumulative_probabilities_are_exact() -> None:
    prior, theirs = learnt()
    edges = torch.arange(-9, 10, dtype=torch.float64) - 0.5
    rows = edges.repeat(LEVELS * CHANNELS, 1, 1)
    wanted = torch.sigmoid(theirs.double()._logits_cumulative(rows, stop_gradient=True)[:, 0])
    torch.testing.assert_close(prior.cumulative(edges), wanted, rtol=1e-12, atol=0)
