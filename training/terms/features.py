"""The perceptual term: ``k_P * d(x_hat, x)``, d a distance of feature maps.

HiFiC and Qin et al. (eq. 5) take LPIPS, whose networks come from a hub; d here is the feature distance of
the matcher that ships (:mod:`shared.networks.matcher`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shared.bundle import shipped_bundle
from shared.matcher_bundle import load_matcher
from shared.networks.matcher import Matcher, feature_distance
from shared.networks.precision import coarse
from training.terms.step import Step

__all__ = ["Features"]


@dataclass(frozen=True)
class Features:
    """Mean feature distance to the original; ``weight`` is k_P."""

    weight: float
    matcher: Matcher

    @classmethod
    def shipped(cls, weight: float, name: str, device: torch.device) -> Features:
        """By the maps of a matcher that ships.

        Raises:
            BundleError: it is missing or damaged.
        """
        return cls(weight, load_matcher(shipped_bundle(name))[0].to(device))

    def __call__(self, step: Step) -> Tensor:
        """A scalar."""
        return self.weight * self.distances(step).mean()

    def distances(self, step: Step) -> Tensor:
        """(B,) of a step's pictures."""
        x = step.batch.x
        with coarse(x.device):
            return self.distance(step.out.x_hat, x)

    def distance(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """(B,) distances of pictures (B, 3, H, W) around 0..1."""
        return feature_distance(self.matcher.feature_maps(x_hat), self.matcher.feature_maps(x))
