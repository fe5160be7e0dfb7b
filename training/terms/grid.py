"""The grid term: what of the error repeats with the period of the last pixel shuffle.

A generator that ends in a pixel shuffle of 4 can answer texture with a fixed pattern of 4x4 pixels, which
squared error hardly minds and a patch discriminator likes. The error's 16 phases, each averaged over a
region, should be equal; their variance is the energy of such a pattern::

    L = w * 255**2 * mean over regions and channels of Var_phase(mean of e_phase),   e = x_hat - x
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from training.terms.step import Step

__all__ = ["Grid", "energies"]

#: Of the last pixel shuffle.
PERIOD = 4
#: Side of a region, in periods.
REGION = 8


@dataclass(frozen=True)
class Grid:
    """Energy of a fixed pattern in the error, on the 0..255 scale."""

    weight: float

    def __call__(self, step: Step) -> Tensor:
        """A scalar."""
        return self.weight * energies(step).mean()


def energies(step: Step) -> Tensor:
    """The energy of a fixed pattern in each picture's error, (B,)."""
    error = F.pixel_unshuffle(step.out.x_hat - step.batch.x, PERIOD)
    means = F.avg_pool2d(error, REGION, REGION // 2)
    batch, _, height, width = means.shape
    phases = means.view(batch, 3, PERIOD**2, height, width)
    energy: Tensor = phases.var(2, correction=0).mean((1, 2, 3))
    return 255**2 * energy
