"""Squared error: ``mean_i w(q_i) * 255**2 * |x_hat_i - x_i|**2``, on the 0..255 scale."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from training.terms.step import Step

__all__ = ["Mse"]


@dataclass(frozen=True)
class Mse:
    """Mean squared error; ``weights`` (levels,) by quality level, HiFiC's k_M where there is one for all."""

    weights: Tensor

    def __call__(self, step: Step) -> Tensor:
        """A scalar."""
        error = (step.out.x_hat - step.batch.x).square().flatten(1).mean(1)
        return 255**2 * (self.weights.to(error.device)[step.batch.quality] * error).mean()
