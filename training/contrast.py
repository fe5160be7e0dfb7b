"""A matcher that learns which pictures and sentences belong together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from shared.matcher_bundle import fresh_matcher
from shared.networks.matcher import MatcherSize
from shared.networks.patches import PatchSize
from shared.networks.precision import CPU, coarse
from training.muon import matrices_of, muon_and_adamw
from training.run import Learner, Move, Phase, Run, rise_and_fall
from training.terms.contrastive import TEMPERATURE, contrastive_loss

__all__ = ["Contrast", "ContrastSettings", "squares"]


class ContrastSettings(BaseModel):
    """How a matcher learns from pictures that are at hand.

    Attributes:
        crop: of the matcher's square, what a training step sees (pixels).
        brightness: standard deviation of a random gain of all channels alike; colours stay.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    size: MatcherSize | PatchSize
    steps: int = Field(ge=1)
    batch: int = Field(192, ge=2)
    crop: int = Field(96, ge=32)
    learning_rate: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(30, ge=0)
    weight_decay: float = Field(0.05, ge=0)
    brightness: float = Field(0.05, ge=0)


def squares(pictures: Tensor, side: int) -> Tensor:
    """Pictures (N, C, H, W) in 0..255 squashed to (N, C, side, side) uint8, channels last in memory."""
    small = F.interpolate(pictures.float(), (side, side), mode="bilinear", antialias=True)
    small = small.round().clamp(0, 255).to(torch.uint8)
    return small.contiguous(memory_format=torch.channels_last)


Pair = tuple[Tensor, Tensor]


class Contrast(Run[Pair]):
    """A run on symmetric InfoNCE.

    Args:
        settings: how it learns.
        views: (V, N, C, side, side) uint8; a step sees each of its pictures in one of V versions.
        sentences: (N, 5, D).
    """

    def __init__(self, settings: ContrastSettings, views: Tensor, sentences: Tensor) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.views, self.sentences = settings, views, sentences
        self.model = fresh_matcher(settings.size).to(memory_format=torch.channels_last)
        scale = nn.ParameterDict({"log_scale": nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))})
        self.log_scale: Tensor = scale["log_scale"]
        learner = Learner(
            muon_and_adamw(self.model, settings.learning_rate, list(scale.parameters())),
            decayed=matrices_of(self.model),
            decay=settings.weight_decay,
        )
        move = Move(learner, self.loss, rise_and_fall(settings.warmup_steps))
        phase = Phase("contrastive", settings.steps, [move])
        models: dict[str, Any] = {"model": self.model, "scale": scale}
        super().__init__(settings.seed, self.batch, [phase], models, {"model": learner})

    def batch(self, step: int, phase: str) -> Pair:
        """Pictures (B, C, crop, crop) in 0..1, cut and mirrored at random, and one caption each.

        Each of several workers has its own to tell apart: fewer, that is.
        """
        settings = self.settings
        rng = np.random.default_rng([settings.seed, step])
        versions, count = self.views.shape[:2]
        index = torch.from_numpy(rng.permutation(count)[: settings.batch])
        spare = settings.size.side - settings.crop
        top, left = rng.integers(0, spare + 1, 2).tolist()
        of_versions = np.random.default_rng([settings.seed, step, 1])
        version = torch.from_numpy(of_versions.integers(versions, size=len(index)))
        whole = self.views[version, index]
        crop = settings.crop
        x = whole[:, :, top : top + crop, left : left + crop].float().div(255)
        mirrored = torch.from_numpy(rng.random(len(index)) < 0.5)
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
        gain = torch.from_numpy(rng.normal(1, settings.brightness, len(index))).float()
        x = (x * gain[:, None, None, None]).clamp(0, 1)
        caption = torch.from_numpy(rng.integers(0, self.sentences.shape[1], len(index)))
        words = F.normalize(self.sentences[index, caption].float(), dim=1)
        own = self.together.rows(len(x), least=2)
        return x[own].to(memory_format=torch.channels_last), words[own]

    def loss(self, pair: Pair) -> Tensor:
        """A scalar, in nats."""
        x, words = pair
        self.model.train()
        with coarse(CPU):
            vectors = self.model(x)
        return contrastive_loss(vectors.float(), words, self.log_scale)
