"""What E, P and G minimise: eq. 3 and 5 of Qin et al., with the constants of HiFiC's published code.

``L = w(rate) * rate + k_M * MSE + k_P * d + beta * L_adv``. MSE is on the 0..255 scale, and rate in bits a
pixel. The paper prints ``k_M = 1, k_P = 0.075 * 2**-5``, which would leave d without weight; we read them
swapped, as HiFiC has them.

The rate is held at a target by a switch: its weight is large while the rounded rate is above the target
and small below. In the first steps of a stage the target is higher and both weights are halved, so
that pictures are learnt before bits are saved.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

__all__ = ["SSA_OBJECTIVES", "Objective", "PerceptualDistance"]

#: d(x_hat, x) of pictures (B, 3, H, W) around 0..1, a scalar: LPIPS where its weights are at hand.
PerceptualDistance = Callable[[Tensor, Tensor], Tensor]


class Objective(BaseModel):
    """Weights and schedule of one stage; steps are counted within it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: float = Field(gt=0, description="bits a pixel")
    rate_over: float = Field(gt=0, description="weight of the rate above the target")
    rate_under: float = Field(2.0**-6, gt=0, description="and below it")
    warm_steps: int = Field(50_000, ge=0, description="steps with the easier rate")
    warm_target: float = Field(0.20 / 0.14, gt=0, description="factor on the target in those")
    warm_rate: float = Field(0.5, gt=0, description="factor on both weights in those")
    distortion_weight: float = Field(0.075 * 2.0**-5, ge=0, description="k_M")
    perceptual_weight: float = Field(1.0, ge=0, description="k_P")
    adversarial_weight: float = Field(0.15, ge=0, description="beta")
    start_rate: float = Field(1e-4, gt=0, description="Adam's learning rate")
    late_steps: int = Field(500_000, ge=0, description="steps before it falls")
    late_rate: float = Field(0.1, gt=0, description="factor by which it falls")

    def rate_weight(self, bpp: float, step: int) -> float:
        """Weight of the rate at this step, when the rounded values take ``bpp``."""
        warm = step < self.warm_steps
        target = self.target * (self.warm_target if warm else 1)
        weight = self.rate_over if bpp > target else self.rate_under
        return weight * (self.warm_rate if warm else 1)

    def learning_rate(self, step: int) -> float:
        """Of every optimiser at this step."""
        return self.start_rate * (self.late_rate if step >= self.late_steps else 1)

    def distortion(self, x_hat: Tensor, x: Tensor, perceptual: PerceptualDistance | None) -> Tensor:
        """Eq. 5, a scalar; ``x`` (B, 3, H, W) in 0..1. Without a perceptual distance, its first term."""
        squared = 255**2 * (x_hat - x).square().mean()
        loss = self.distortion_weight * squared
        return loss if perceptual is None else loss + self.perceptual_weight * perceptual(x_hat, x)


#: The paper's three rates; the weight above the target halves from one to the next, as HiFiC's do.
SSA_OBJECTIVES = (
    Objective(target=0.15, rate_over=2.0),
    Objective(target=0.30, rate_over=1.0),
    Objective(target=0.45, rate_over=0.5),
)
