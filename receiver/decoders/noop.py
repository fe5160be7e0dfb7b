"""A decoder that does not decode, to measure everything around it."""

from __future__ import annotations

from collections.abc import Sequence

from receiver.decoders.interface import DecoderPool
from receiver.work import DecodeFailure, DecodeResult, DecodeTask
from shared.bitstream.container import BITSTREAM_VERSION
from shared.wire.v1.types_pb2 import CodecId

__all__ = ["CONTAINER_MEDIA_TYPE", "NoOpPool"]

CONTAINER_MEDIA_TYPE = "application/x-sidewire"


class NoOpPool(DecoderPool):
    """A pool for benchmarks; it names itself where a receiver says what it decodes.

    Args:
        echo: hand the container on as if it were the picture, so that effects can be told by content.
    """

    name = "benchmark-noop"
    width = 4
    batch_limit = 64

    def __init__(self, *, echo: bool = False) -> None:
        self._echo = echo

    async def start(self) -> Sequence[CodecId]:
        """Nothing to start."""
        return [CodecId(name=self.name, bitstream_version=BITSTREAM_VERSION)]

    async def decode(self, tasks: Sequence[DecodeTask]) -> list[DecodeResult | DecodeFailure]:
        """An empty picture a task, or its container."""
        if self._echo:
            return [DecodeResult(task.frame.container, CONTAINER_MEDIA_TYPE) for task in tasks]
        return [DecodeResult(b"", "") for _ in tasks]

    async def watch(self) -> None:
        """Nothing goes wrong."""

    async def close(self) -> None:
        """Nothing to stop."""
