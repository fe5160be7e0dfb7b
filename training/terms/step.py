"""What a training step sees, and what the model makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from shared.codecs.parts import Pass
from shared.networks.precision import coarse
from shared.networks.stages import Conditioning

__all__ = ["Batch", "ByLevel", "Step", "Term", "over_batches", "sum_of"]


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        x: (B, 3, H, W) in 0..1.
        quality: (B,) levels.
        captions: (B, D), sentence vectors of what was said of the pictures; None without captions.
        text: (B, D), what is told: the captions, or zero rows.
        y_hat: (B, M, h, w) of a frozen stream; None where it is computed.
        tokens: (B, T, D_t), the words of ``text`` one by one; None for networks that read sentences.
        mask: (B, T) bool, True for words; beside tokens.
        scale: of the levels, see :class:`shared.codecs.ladder.Rung`.
        share: of this batch in the loss of a step that sees several.
    """

    x: Tensor
    quality: Tensor
    captions: Tensor | None = None
    text: Tensor | None = None
    y_hat: Tensor | None = None
    tokens: Tensor | None = None
    mask: Tensor | None = None
    scale: int = 1
    share: float = 1.0

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Those that there are, by name."""
        named = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in named.items() if isinstance(value, Tensor)}

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return self._mapped(lambda tensor: tensor.to(device))

    def joined(self, other: Batch) -> Batch:
        """Both batches' pictures in one; zeros for words that the other one lacks."""
        count, theirs, both = len(other.x), other.tensors, {}
        for name, own in self.tensors.items():
            lacking = own.new_zeros(count, *own.shape[1:])
            both[name] = torch.cat([own, theirs.get(name, lacking)])
        return replace(self, **both)  # type: ignore[arg-type]

    @property
    def told(self) -> Conditioning:
        """What is told, as networks read it."""
        assert self.text is not None
        return Conditioning(self.text, None, self.tokens, self.mask)

    def taken(self, rows: slice) -> Batch:
        """Some of its pictures."""
        return self._mapped(lambda tensor: tensor[rows])

    def repeated(self, levels: range) -> Batch:
        """One picture at each of these levels."""
        count = len(levels)
        repeated = self._mapped(lambda tensor: tensor.repeat(count, *[1] * (tensor.ndim - 1)))
        return replace(repeated, quality=torch.tensor(levels, device=self.x.device))

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(self, **{name: change(value) for name, value in self.tensors.items()})  # type: ignore[arg-type]


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
        self._shown: dict[Callable[[Tensor], Tensor], Tensor] = {}

    @cached_property
    def out(self) -> Pass:
        """The pass."""
        with torch.set_grad_enabled(self._learns):
            return self._forward(self.batch)

    def shown(self, matcher: Callable[[Tensor], Tensor]) -> Tensor:
        """Where a matcher places the pass's pictures, (B, D) unit vectors; asked once for all terms."""
        if matcher not in self._shown:
            with coarse(self.batch.x.device):
                self._shown[matcher] = matcher(self.out.x_hat)
        return self._shown[matcher]


Term = Callable[[Step], Tensor]


@dataclass(frozen=True)
class ByLevel:
    """``mean_i w(q_i) * measure_i``: a measure of each picture, (B,), with ``weights`` (levels,) by level."""

    weights: Tensor
    measure: Callable[[Step], Tensor]

    def __call__(self, step: Step) -> Tensor:
        """A scalar."""
        values = self.measure(step)
        return (self.weights.to(values.device)[step.batch.quality] * values).mean()


def sum_of(terms: Sequence[Term]) -> Term:
    """All terms together."""

    def loss(step: Step) -> Tensor:
        return torch.stack([term(step) for term in terms]).sum()

    return loss


def over_batches(loss: Term) -> Callable[[Sequence[Step]], Tensor]:
    """A loss of one step as that of several batches, by their shares."""

    def total(steps: Sequence[Step]) -> Tensor:
        return torch.stack([step.batch.share * loss(step) for step in steps]).sum()

    return total
