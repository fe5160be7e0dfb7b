"""The prior of z while it is learnt: each picture under its own level's densities."""

from __future__ import annotations

import torch

from training.priors import LearntPrior

LEVELS, CHANNELS = 3, 4
#: Levels of the pictures of one batch, in no order.
QUALITY = torch.tensor([2, 0, 1, 1, 0, 2])


def test_each_picture_is_charged_by_its_own_level_whatever_the_batch_holds() -> None:
    """Held against CompressAI's own bottleneck, which measures all levels' channels."""
    torch.manual_seed(1)
    prior = LearntPrior(LEVELS, CHANNELS)
    with torch.no_grad():
        for parameter in prior.bottleneck.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    z = 3 * torch.randn(len(QUALITY), CHANNELS, 2, 3)
    with torch.no_grad():
        bits = prior(z, QUALITY).sum(1)
        for one, level, charged in zip(z, QUALITY, bits, strict=True):
            everywhere = one.flatten(1).repeat(LEVELS, 1)[:, None]
            likelihood, _, _ = prior.bottleneck._likelihood(everywhere)
            own = likelihood.unflatten(0, (LEVELS, CHANNELS))[level]
            torch.testing.assert_close(charged, -own.log2().sum(), rtol=1e-4, atol=1e-3)
        order = torch.tensor([5, 1, 3, 0, 2, 4])
        torch.testing.assert_close(prior(z[order], QUALITY[order]).sum(1), bits[order])
    assert len(bits.unique()) == len(bits)
