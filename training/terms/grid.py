"""The grid term: what of the error repeats with the stride of a layer that makes pixels.

A generator that ends in a pixel shuffle of 4 can answer texture with a fixed pattern of 4x4 pixels, which
squared error hardly minds and a patch discriminator likes; one that paints latents of stride 16, with one
of 16x16. The phases of the error, each averaged over a region, should be equal; their variance is the energy
of such a pattern::

    L = 255**2 * mean over regions and channels of Var_phase(mean of e_phase),   e = x_hat - x
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from training.terms.step import Step

__all__ = ["Grid"]

#: Side of a region, in periods.
REGION = 8


@dataclass(frozen=True)
class Grid:
    """Energy of a fixed pattern in the error of each picture, on the 0..255 scale.

    Attributes:
        period: side of the pattern in pixels; crops hold a whole number of them, at least ``REGION`` a side.
    """

    period: int

    def __call__(self, step: Step) -> Tensor:
        """(B,)."""
        error = F.pixel_unshuffle(step.out.x_hat - step.batch.x, self.period)
        means = F.avg_pool2d(error, REGION, REGION // 2)
        batch, _, height, width = means.shape
        phases = means.view(batch, 3, self.period**2, height, width)
        energy: Tensor = phases.var(2, correction=0).mean((1, 2, 3))
        return 255**2 * energy
