"""What a training step sees, and what the model makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from shared.codecs.parts import Pass

__all__ = ["Batch", "Step", "Term", "sum_of"]


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        x: (B, 3, H, W) in 0..1.
        quality: (B,) levels.
        captions: (B, D), sentence vectors of what was said of the pictures; None without captions.
        text: (B, D), what is told: the captions, or zero rows.
        y_hat: (B, M, h, w) of a frozen stream; None where it is computed.
    """

    x: Tensor
    quality: Tensor
    captions: Tensor | None = None
    text: Tensor | None = None
    y_hat: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return self._mapped(lambda tensor: tensor.to(device))

    def joined(self, other: Batch) -> Batch:
        """Both batches' pictures in one; what one of them lacks, none has."""
        tensors: dict[str, Any] = {}
        for one in fields(self):
            pair = getattr(self, one.name), getattr(other, one.name)
            tensors[one.name] = None if any(t is None for t in pair) else torch.cat(pair)
        return Batch(**tensors)

    def repeated(self, levels: int) -> Batch:
        """One picture at every level."""
        repeated = self._mapped(lambda tensor: tensor.repeat(levels, *[1] * (tensor.ndim - 1)))
        return replace(repeated, quality=torch.arange(levels, device=self.x.device))

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        tensors: dict[str, Any] = {}
        for one in fields(self):
            tensor = getattr(self, one.name)
            tensors[one.name] = None if tensor is None else change(tensor)
        return Batch(**tensors)


class Step:
    """One batch, and one pass of the model over it, which is made when a term first asks for it.

    Args:
        index: the step's number.
        forward: the model's pass.
        learns: gradients are wanted of the pass.
    """

    def __init__(
        self, index: int, batch: Batch, forward: Callable[[Batch], Pass], *, learns: bool
    ) -> None:
        self.index, self.batch = index, batch
        self._forward, self._learns = forward, learns

    @cached_property
    def out(self) -> Pass:
        """The pass."""
        with torch.set_grad_enabled(self._learns):
            return self._forward(self.batch)


Term = Callable[[Step], Tensor]


def sum_of(terms: Sequence[Term]) -> Term:
    """All terms together."""

    def loss(step: Step) -> Tensor:
        return torch.stack([term(step) for term in terms]).sum()

    return loss
