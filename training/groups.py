"""A step sees the levels of each scale in a batch of their own: a ladder's copies have other sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from training.recorded import Recorder
from training.run import Move
from training.terms.step import Batch, Step, over_batches

__all__ = ["APART", "Group", "Steps", "groups_of", "over_batches_moves", "step_recorder"]

#: Batches of one step draw their pictures this many steps apart.
APART = 2**42

#: One step: a batch for each scale of the ladder.
Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Group:
    """The levels of one scale, which a step sees in one batch.

    Attributes:
        levels: consecutive ones.
        count: pictures a step, a multiple of the number of levels.
        side: of crops, in pixels.
    """

    scale: int
    levels: range
    count: int
    side: int

    def quality(self, device: torch.device) -> Tensor:
        """(count,) levels in turn."""
        return self.levels.start + torch.arange(self.count, device=device) % len(self.levels)


def groups_of(
    scales: Sequence[int], batches: Mapping[int, int], sides: Mapping[int, int]
) -> tuple[Group, ...]:
    """A group a stretch of equal scales.

    Args:
        scales: of the levels.
        batches: pictures a level and step, by scale.
        sides: of crops in pixels, by scale.
    """
    found, start = [], 0
    for scale, stretch in groupby(scales):
        levels = range(start, start + len(list(stretch)))
        start = levels.stop
        found.append(Group(scale, levels, batches[scale] * len(levels), sides[scale]))
    return tuple(found)


def over_batches_moves(moves: Sequence[Move[Any]]) -> list[Move[Any]]:
    """Moves that see one batch as moves that see a step's batches."""
    return [Move(one.learner, over_batches(one.loss), one.schedule) for one in moves]


def step_recorder(
    again: Callable[[int, Batch], Step], device: torch.device
) -> Recorder[Steps] | None:
    """A recorder of a phase's steps on a GPU; None elsewhere.

    Args:
        again: a fresh step of that number over a batch.
    """
    if device.type != "cuda":
        return None

    def tensors(steps: Steps) -> list[Tensor]:
        return [one for step in steps for one in step.batch.tensors.values()]

    def afresh(steps: Steps) -> Steps:
        return tuple(again(step.index, step.batch) for step in steps)

    return Recorder(tensors, afresh, device)
