"""Probabilities of unit bins under zero-mean Gaussians that a continuous scale index names."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from shared.entropy.tables import LOG_STEP, SCALE_MIN

__all__ = ["bin_probability"]


def bin_probability(values: Tensor, index: Tensor) -> Tensor:
    """Probability of the unit bin around each value.

    Args:
        values: centred values, noisy or integers.
        index: scale indices within 0..63, of the same shape.
    """
    sigma = SCALE_MIN * torch.exp(index * LOG_STEP)
    distance = values.abs()
    root = math.sqrt(0.5)
    return 0.5 * (
        torch.erfc((distance - 0.5) / sigma * root) - torch.erfc((distance + 0.5) / sigma * root)
    )
