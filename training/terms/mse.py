"""Squared error: ``mean_i w(q_i) * 255**2 * |x_hat_i - x_i|**2``, on the 0..255 scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.terms.step import Step

__all__ = ["Mse", "psnr", "squared_error"]


def squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Mean squared error of each picture, (B,), of two (B, 3, H, W) on one scale."""
    return (x_hat - x).square().flatten(1).mean(1)


def psnr(x_hat: Tensor, x: Tensor) -> Tensor:
    """PSNR of each picture in dB, (B,): ``x_hat``, clamped, against ``x`` in 0..1.

    For watching a run; what is reported is measured on 8-bit pictures by :mod:`shared.metrics`.
    """
    return -10 * torch.log10(squared_error(x_hat.clamp(0, 1), x))


@dataclass(frozen=True)
class Mse:
    """Mean squared error; ``weights`` (levels,) by quality level, HiFiC's k_M where there is one for all."""

    weights: Tensor

    def __call__(self, step: Step) -> Tensor:
        """A scalar."""
        error = squared_error(step.out.x_hat, step.batch.x)
        return 255**2 * (self.weights.to(error.device)[step.batch.quality] * error).mean()
