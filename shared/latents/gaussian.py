"""Probabilities of unit bins under zero-mean Gaussians that a continuous scale index names."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from shared.entropy.scale_branch import SCALE_LEVELS
from shared.entropy.tables import LOG_STEP, SCALE_MIN
from shared.latents.bound import at_least

__all__ = ["bin_probability", "bits_of_bins"]

#: Least probability that is charged, and so the largest number of bits.
FLOOR = 1e-9


def bits_of_bins(values: Tensor, index: Tensor) -> Tensor:
    """Bits of the unit bin around each value, of the same shape.

    Both bounds let a gradient back in: a value far outside its scale must still widen it.

    Args:
        values: centred values, noisy or integers.
        index: continuous scale indices, of the same shape; clamped to 0..63.
    """
    index = at_least(index, 0.0).clamp(max=SCALE_LEVELS - 1)
    return -torch.log2(at_least(bin_probability(values, index), FLOOR))


def bin_probability(values: Tensor, index: Tensor) -> Tensor:
    """Probability of the unit bin around each value at indices within 0..63."""
    sigma = SCALE_MIN * torch.exp(index * LOG_STEP)
    distance = values.abs()
    root = math.sqrt(0.5)
    return 0.5 * (
        torch.erfc((distance - 0.5) / sigma * root) - torch.erfc((distance + 0.5) / sigma * root)
    )
