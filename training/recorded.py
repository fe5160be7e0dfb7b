"""A phase's moves, recorded once as a CUDA graph and replayed: a GPU never waits for Python's launches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from training.run import Move, carry_out

__all__ = ["Recorder"]

T = TypeVar("T")

#: Steps that are carried out as they are first, so that libraries choose algorithms outside the recording.
WARMUP_STEPS = 4


class Recorder(Generic[T]):
    """Carries moves out; from the fifth step on by replaying what the GPU did in it.

    Every step must see tensors of the same shapes, and must not wait for the GPU.

    Args:
        tensors: all tensors of what a step sees, in a fixed order.
        again: what a step sees as a fresh object over the same tensors.
    """

    def __init__(
        self,
        tensors: Callable[[T], Sequence[Tensor]],
        again: Callable[[T], T],
        device: torch.device,
    ) -> None:
        self._tensors, self._again, self._device = tensors, again, device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._done = 0

    def __call__(self, moves: Sequence[Move[T]], seen: T) -> Tensor:
        """One step; returns the last move's loss."""
        if self._done == 0:
            for move in moves:
                move.learner.recordable(self._device)
        self._done += 1
        if self._done <= WARMUP_STEPS:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                loss = carry_out(moves, seen)
            torch.cuda.current_stream().wait_stream(self._stream)
            return loss
        if self._graph is None:
            self._seen, self._graph = seen, torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=self._stream):
                self._loss = carry_out(moves, self._again(self._seen))
        for own, new in zip(self._tensors(self._seen), self._tensors(seen), strict=True):
            own.copy_(new)
        self._graph.replay()
        return self._loss.clone()
