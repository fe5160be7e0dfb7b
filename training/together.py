"""Workers that take the same steps, each on its part of what a step sees.

Every worker holds the whole run. It draws a step's whole batch, which comes from ``(seed, step)`` alone, and
learns from its part of the pictures; gradients are averaged before they are clipped and applied. So all of
them go the way that one worker would go alone, but for sums in another order, for noise, which every worker
draws by itself, and for what looks over a whole batch: a term that compares the pictures or captions of a
batch, a switch on its mean rate, or a normalisation over it sees the worker's own part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from shared.errors import LimitError
from training.terms.step import Batch

__all__ = ["ALONE", "Together"]

T = TypeVar("T")


@dataclass(frozen=True)
class Together:
    """One of some workers; what it asks of the others it asks of torch's process group.

    All of them must call the same methods in the same order. Alone, nothing is asked.

    Attributes:
        rank: of this worker, from 0.
        count: of all workers.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> Together:
        """This process in its process group."""
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def alone(self) -> bool:
        """There are no others."""
        return self.count == 1

    @property
    def first(self) -> bool:
        """This is the worker that writes what is written once."""
        return self.rank == 0

    def rows(self, count: int, least: int = 1) -> slice:
        """This worker's part of ``count`` things: every n-th, so that kinds in a row are in each part.

        Raises:
            LimitError: some worker would have fewer than ``least``.
        """
        if count // self.count < least:
            raise LimitError("workers that share a step's pictures", self.count, count // least)
        return slice(self.rank, None, self.count)

    def part(self, batch: Batch) -> Batch:
        """This worker's part of a batch, with a share by which the workers' mean loss is the whole one's.

        Raises:
            LimitError: there are fewer pictures than workers.
        """
        if self.alone:
            return batch
        whole = len(batch.x)
        own = batch.taken(self.rows(whole))
        return replace(own, share=batch.share * self.count * len(own.x) / whole)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one device and dtype by their means over the workers."""
        if self.alone:
            return
        flat = _flat(tensors)
        dist.all_reduce(flat)
        flat /= self.count
        _spread(flat, tensors)

    def follow(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one device by those of the first worker."""
        if self.alone:
            return
        for dtype in dict.fromkeys(one.dtype for one in tensors):
            alike = [one for one in tensors if one.dtype == dtype]
            flat = _flat(alike)
            dist.broadcast(flat, 0)
            _spread(flat, alike)

    def answers(self, own: T) -> list[T]:
        """What every worker says here, by rank; none goes on before all have said it."""
        if self.alone:
            return [own]
        said: list[T] = [own] * self.count
        dist.all_gather_object(said, own)
        return said

    @contextmanager
    def first_one_first(self) -> Iterator[None]:
        """The others begin with what is within when the first worker has been through it."""
        if not self.first:
            self.answers(None)
        yield
        if self.first:
            self.answers(None)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    """All values in one tensor: an exchange costs little by its size, and much by being one more."""
    return torch.cat([one.detach().reshape(-1) for one in tensors])


def _spread(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Write the values of :func:`_flat` back."""
    parts = torch.split(flat, [one.numel() for one in tensors])
    for one, values in zip(tensors, parts, strict=True):
        one.detach().copy_(values.view_as(one))


#: A worker without others.
ALONE = Together()
