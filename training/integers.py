"""The scale branch of a system with an entropy model of its own: in float, then on the integer grid.

In the last phase the branch alone lowers the bits of y, on latents that stand still. A twin takes the same
steps in float: what the integers cost is measured against it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shared.entropy.tables import LOG_STEP, SCALE_MIN
from shared.latents.hyperprior import Hyperprior
from shared.networks.precision import coarse
from training.priors import LearntPrior
from training.run import Average, Learner, Move
from training.scale_branch import ScaleBranch
from training.terms.step import Batch

__all__ = ["IntegerStep", "Integers"]


@dataclass(frozen=True)
class IntegerStep:
    """What the integer phase sees.

    Attributes:
        z_hat: (B, N, h, w), rounded.
        symbols: (B, M, 4h, 4w), ``round(y - mu)``.
    """

    batch: Batch
    z_hat: Tensor
    symbols: Tensor


class Integers:
    """A latent codec that learns, its scale branch, and the branch's twin in float.

    Args:
        latent: becomes one that learns.
    """

    def __init__(self, latent: Hyperprior, device: torch.device) -> None:
        self.latent = latent
        self.scale = ScaleBranch(latent.size).to(device)
        self.float_twin = ScaleBranch(latent.size).to(device)
        self.prior = LearntPrior(latent.size.levels, latent.size.hyper_latent)
        latent.learn(self.scale, self.prior)

    @property
    def begun(self) -> bool:
        """Whether the branch is on the integer grid."""
        return self.scale.quantised

    def start_from(self, spread: Tensor) -> None:
        """Begin with each channel's own scale at each level, (levels, M), so that bits are sensible."""
        self.scale.start_from(torch.log(spread / SCALE_MIN) / LOG_STEP)

    def learners(self, rate: float) -> dict[str, Learner]:
        """The branch's and its twin's, by name."""
        branches = {"scale": self.scale, "float_twin": self.float_twin}
        return {
            name: Learner([torch.optim.Adam(branch.parameters(), lr=rate)])
            for name, branch in branches.items()
        }

    def moves(self, learners: Mapping[str, Learner], weights: Tensor) -> list[Move[Any]]:
        """What both do in a step; the phase's loss is the branch's own.

        Args:
            weights: (levels,) of the levels' bits.
        """
        return [
            self._move(learners["float_twin"], self.float_twin, weights),
            self._move(learners["scale"], self.scale, weights),
        ]

    def _move(self, learner: Learner, branch: nn.Module, weights: Tensor) -> Move[Any]:
        def loss(seen: IntegerStep) -> Tensor:
            quality, x = seen.batch.quality, seen.batch.x
            bits = self.latent.y_bits(seen.symbols, branch(seen.z_hat, quality))
            return (weights[quality] * bits).mean() / (x.shape[2] * x.shape[3])

        def cosine(done: int, steps: int) -> float:
            return 0.5 * (1 + math.cos(math.pi * done / steps))

        return Move(learner, loss, cosine)

    def step(self, y: Tensor, batch: Batch, text: Tensor | None = None) -> IntegerStep:
        """What a step sees of y (B, M, H, W); ``text``: (B, D) that the encoder is told."""
        with coarse(y.device):
            found = self.latent.rounded(y, batch.quality, text)
        return IntegerStep(batch, found.z, found.symbols)

    def begin(self, average: Average[Any]) -> None:
        """Go over to integers, from the averaged weights."""
        peaks = self.scale.peaks.clone()
        average.source.load_state_dict(average.module.state_dict())
        self.scale.peaks.copy_(peaks)
        self.float_twin.load_state_dict(self.scale.state_dict())
        self.scale.begin_quantised()
