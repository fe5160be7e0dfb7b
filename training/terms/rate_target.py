"""The rate, held at a target by a switch: ``w(r) * r``, eq. 3 of Qin et al. with HiFiC's constants.

The weight is large while the rounded rate is above the target, and small below. In the first steps the
target is higher and both weights are halved, so that pictures are learnt before bits are saved (HiFiC's
published TensorFlow code; one popular port doubles the weight there).
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from training.terms.step import Step

__all__ = ["RateTarget"]


class RateTarget(BaseModel):
    """Bits a pixel under the switch. The paper's three: 0.15, 0.30, 0.45 at weights 2, 1, 1/2 above them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: float = Field(gt=0, description="bits a pixel")
    over: float = Field(gt=0, description="weight of the rate above the target")
    under: float = Field(2.0**-6, gt=0, description="and below it")
    warm_steps: int = Field(50_000, ge=0, description="steps with the easier rate")
    warm_target: float = Field(0.20 / 0.14, gt=0, description="factor on the target in those")
    warm_weight: float = Field(0.5, gt=0, description="factor on both weights in those")

    def weight(self, bpp: float, step: int) -> float:
        """Weight of the rate at this step, when the values take ``bpp``."""
        warm = step < self.warm_steps
        target = self.target * (self.warm_target if warm else 1)
        weight = self.over if bpp > target else self.under
        return weight * (self.warm_weight if warm else 1)

    def __call__(self, step: Step) -> Tensor:
        """A scalar."""
        bits = step.out.bits
        assert bits is not None, "a frozen stream has no rate to lower"
        height, width = step.batch.x.shape[2:]
        bpp: Tensor = torch.mean(bits) / (height * width)
        return self.weight(float(bpp.detach()), step.index) * bpp
