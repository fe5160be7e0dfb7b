"""The paper's two stages, a step at a time (Qin et al., section 4.1).

Rate and distortion first: E, P and G alone, batch 8. Then the adversarial stage with D, batch 16, in one of
two recipes: ``joint`` as the paper, or ``frozen`` with E and P as the first stage left them, so that
streams go on to decode with any later generator. Adam, 200 epochs of whole pictures each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from shared.networks.ssa import Conditioning
from training.adversarial import discriminator_loss, generator_loss
from training.discriminator import Discriminator
from training.paper.objective import Objective, PerceptualDistance
from training.paper.system import PaperSystem, SystemOutput

__all__ = ["AdversarialStage", "DistortionStage", "Recipe", "StepReport"]

Recipe = Literal["joint", "frozen"]


@dataclass(frozen=True)
class StepReport:
    """One step's figures, before its update.

    Attributes:
        loss: what E, P and G minimised.
        bpp: mean rate of rounded values, bits a pixel.
        mse: mean squared error on the 0..255 scale.
        discriminator: D's loss, None in the stage without it.
    """

    loss: float
    bpp: float
    mse: float
    discriminator: float | None = None


class _Stage:
    """What both stages share: E, P and G under one optimiser."""

    def __init__(
        self, system: PaperSystem, objective: Objective, perceptual: PerceptualDistance | None
    ) -> None:
        self.system = system
        self.objective = objective
        self.perceptual = perceptual
        self.step = 0
        self.optimiser = _adam(system.parameters(), objective)

    def _update(
        self, x: Tensor, out: SystemOutput, fooled: Tensor | None, discriminator: float | None
    ) -> StepReport:
        bpp = out.bpp.mean().item()
        objective = self.objective
        loss = objective.rate_weight(bpp, self.step) * out.noisy_bpp.mean()
        loss = loss + objective.distortion(out.x_hat, x, self.perceptual)
        if fooled is not None:
            loss = loss + objective.adversarial_weight * fooled
        # The quantiles' own loss shares the optimiser: Adam keeps parameters apart.
        self._descend(self.optimiser, loss + self.system.prior.auxiliary_loss())
        self.step += 1
        mse = (255 * (out.x_hat.detach() - x)).square().mean().item()
        return StepReport(loss.item(), bpp, mse, discriminator)

    def _descend(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        for group in optimiser.param_groups:
            group["lr"] = self.objective.learning_rate(self.step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


class DistortionStage(_Stage):
    """Stage 1: rate and distortion.

    Args:
        system: E, P and G; trained in place.
        objective: weights and schedule.
        perceptual: d of eq. 5, or None where no such network is at hand.
    """

    def train_step(self, x: Tensor, text: Tensor) -> StepReport:
        """One update of E, P and G.

        Args:
            x: (B, 3, H, W) in 0..1, whole pictures of one size.
            text: (B, D) their captions' vectors; zero rows for no text.
        """
        return self._update(x, self.system(x, Conditioning(text)), None, None)


class AdversarialStage(_Stage):
    """Stage 2: D learns eq. 6, and G to pass for real with its words.

    Args:
        system: as stage 1 left it; trained in place.
        discriminator: D; trained in place.
        objective: weights and schedule.
        perceptual: d of eq. 5, or None.
        recipe: whether E and P go on learning.
    """

    def __init__(
        self,
        system: PaperSystem,
        discriminator: Discriminator,
        objective: Objective,
        perceptual: PerceptualDistance | None,
        recipe: Recipe,
    ) -> None:
        for part in (system.encoder, system.prior):
            part.requires_grad_(recipe == "joint")
        super().__init__(system, objective, perceptual)
        self.discriminator = discriminator
        self.discriminator_optimiser = _adam(discriminator.parameters(), objective)

    def train_step(self, x: Tensor, text: Tensor, mismatched: Tensor) -> StepReport:
        """One update of D, then one of G (and of E and P, in the joint recipe) against it.

        Args:
            x: (B, 3, H, W) in 0..1, whole pictures of one size.
            text: (B, D) their captions' vectors; zero rows for no text.
            mismatched: (B, D) other pictures' captions.
        """
        out = self.system(x, Conditioning(text))
        # D compares what y_hat covers: both pictures with the same margins.
        real, made = self.system.padded(x), self.system.padded(out.x_hat)
        told = discriminator_loss(self.discriminator, real, made, out.y_hat, text, mismatched).total
        self._descend(self.discriminator_optimiser, told)
        fooled = generator_loss(self.discriminator, made, out.y_hat, text)
        return self._update(x, out, fooled, told.item())


def _adam(parameters: Iterable[nn.Parameter], objective: Objective) -> torch.optim.Adam:
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    return torch.optim.Adam(learning, objective.start_rate, fused=True)
