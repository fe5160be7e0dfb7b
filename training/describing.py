"""A run in which a describer learns to go on with captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.describer import BEGIN, UNKNOWN, DescriberNetwork, DescriberSize, Seen
from shared.networks.precision import CPU, coarse
from training.described import DescribedPictures
from training.muon import Muon
from training.run import Learner, Move, Phase, Run, rise_and_fall

__all__ = ["Describing", "DescribingSettings", "DescribingStep"]


class DescribingSettings(BaseModel):
    """How a describer learns.

    Attributes:
        batch: pictures in a step, each with all of its captions.
        smoothing: of the words that are to be said, shared among all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    steps: int = Field(ge=1)
    batch: int = Field(32, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(30, ge=0)
    smoothing: float = Field(0.05, ge=0, lt=1)


@dataclass(frozen=True)
class DescribingStep:
    """Pictures as they are seen and (B, 5, T) words of their captions."""

    seen: Seen
    words: Tensor


class Describing(Run[DescribingStep]):
    """A run on the cross-entropy of the next word.

    Args:
        settings: how it learns.
        size: of the network.
        data: what it learns from.
    """

    def __init__(
        self, settings: DescribingSettings, size: DescriberSize, data: DescribedPictures
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.data = settings, data
        self.model = DescriberNetwork(size)
        matrices = [one for layer in self.model.layers for one in _matrices(layer)]
        taken = {id(one) for one in matrices}
        rest = [one for one in self.model.parameters() if id(one) not in taken]
        rate = settings.learning_rate
        optimisers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=rate),
            torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        learner = Learner(optimisers, clip_norm=1.0)
        move = Move(learner, self.loss, rise_and_fall(settings.warmup_steps))
        models: dict[str, Any] = {"model": self.model}
        phase = Phase("words", settings.steps, [move])
        super().__init__(settings.seed, self.batch, [phase], models, {"model": learner})

    def batch(self, step: int, phase: str) -> DescribingStep:
        """Pictures of a step; each of several workers has its own."""
        rng = np.random.default_rng([self.settings.seed, step])
        chosen = rng.permutation(len(self.data.words))[: self.settings.batch]
        own = torch.from_numpy(chosen)[self.together.rows(len(chosen), least=1)]
        seen = self.data.places[own].float(), self.data.sentences[own].float()
        return DescribingStep(seen, self.data.words[own])

    def loss(self, step: DescribingStep) -> Tensor:
        """A scalar, in nats a word."""
        self.model.train()
        captions = step.words.shape[1]
        words = step.words.flatten(0, 1)
        words = words[:, : int((words != BEGIN).sum(1).max()) + 1]
        with coarse(CPU):
            memory = self.model.memory(step.seen).repeat_interleave(captions, 0)
            states = self.model.states(memory, words[:, :-1])
            due = words[:, 1:]
            told = (due != BEGIN) & (due != UNKNOWN)
            logits = self.model.logits(states[told])
        return F.cross_entropy(logits.float(), due[told], label_smoothing=self.settings.smoothing)


def _matrices(layer: nn.Module) -> list[nn.Parameter]:
    return [one for one in layer.parameters() if one.ndim == 2]
