"""The pool of decoders that stands behind the joiner, whatever it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from receiver.work import DecodeFailure, DecodeResult, DecodeTask
from shared.wire.v1.types_pb2 import CodecId

__all__ = ["DecoderPool"]


class DecoderPool(Protocol):
    """Decodes batches; at-least-once, so a decoder that dies is nobody else's concern.

    A batch holds tasks of one codec and one picture size. At most ``width`` batches are given at once.
    """

    #: Batches that it works on at the same time.
    width: int
    #: Most tasks in a batch.
    batch_limit: int

    async def start(self) -> Sequence[CodecId]:
        """Start the decoders; what they decode."""

    async def decode(self, tasks: Sequence[DecodeTask]) -> list[DecodeResult | DecodeFailure]:
        """One result a task, in order. A task that kills its decoder again and again becomes a
        failure; whatever else goes wrong is repeated inside. Never raises for a task's sake."""

    async def close(self) -> None:
        """Stop the decoders."""
