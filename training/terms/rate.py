"""The rate: ``mean_i w(q_i) * R_i / (H W)``, in bits a pixel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from training.terms.step import Step

__all__ = ["Rate"]


@dataclass(frozen=True)
class Rate:
    """Bits a pixel of everything that is coded; ``weights`` (levels,) by quality level."""

    weights: Tensor

    def __call__(self, step: Step) -> Tensor:
        """A scalar."""
        bits = step.out.bits
        assert bits is not None, "a frozen stream has no rate to lower"
        height, width = step.batch.x.shape[2:]
        return (self.weights.to(bits.device)[step.batch.quality] * bits).mean() / (height * width)
