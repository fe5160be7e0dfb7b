"""Decoders as processes of this machine, each with its own torch, none of it in the gateway."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from receiver.decoders.interface import DecoderPool
from receiver.decoders.worker import PictureFormat, Results, Settings, build_decoder
from receiver.work import DecodeFailure, DecodeResult, DecodeTask
from shared.errors import SidewireError
from shared.wire.v1.types_pb2 import CodecId
from shared.workers import WorkerDiedError, WorkerProcess

__all__ = ["ProcessPool"]

log = logging.getLogger("sidewire.receiver")

#: A task whose decoder has died so often is what kills it.
DEATHS = 3
#: Seconds that pass after a decoder could not be started.
RESTART_SECONDS = 1.0

DecoderProcess = WorkerProcess[list[bytes], Sequence[DecodeTask], Results]


class ProcessPool(DecoderPool):
    """A fixed number of decoder processes; a batch goes to one that is free.

    A process that dies (killed, out of memory) or takes too long over a batch is started again, and its
    batch is repeated one task at a time: the task that kills its decoder three times becomes a failure,
    the others are decoded.

    Args:
        processes: how many; they share the machine's cores.
        bundle: folder of the only model that is decoded; None for the shipped ones.
        timeout: seconds that a batch may take.
    """

    batch_limit = 8

    def __init__(
        self,
        processes: int,
        picture_format: PictureFormat = PictureFormat.PNG,
        bundle: Path | None = None,
        timeout: float = 120.0,
    ) -> None:
        self.width = processes
        threads = max(1, len(os.sched_getaffinity(0)) // processes)
        build = partial(build_decoder, Settings(picture_format, bundle, threads))
        self._decoders = [
            DecoderProcess("decoder process", build, timeout) for _ in range(processes)
        ]
        self._free: asyncio.Queue[DecoderProcess] = asyncio.Queue()

    @property
    def pids(self) -> list[int]:
        """Of the processes that there are at present."""
        return [decoder.pid for decoder in self._decoders if decoder.pid is not None]

    async def start(self) -> Sequence[CodecId]:
        """Start all processes.

        Raises:
            BundleError: a model cannot be loaded. WorkerDiedError: a process cannot start.
        """
        try:
            codecs = await asyncio.gather(*(decoder.start() for decoder in self._decoders))
        except BaseException:
            await self.close()
            raise
        for decoder in self._decoders:
            self._free.put_nowait(decoder)
        return [CodecId.FromString(one) for one in codecs[0]]

    async def decode(self, tasks: Sequence[DecodeTask]) -> Results:
        """See :class:`DecoderPool`."""
        decoder = await self._free.get()
        try:
            return await _decode(decoder, tasks)
        except WorkerDiedError as death:
            log.warning(
                "a decoder died over %d pictures, which are repeated: %s", len(tasks), death
            )
            return [await _decode_alone(decoder, task) for task in tasks]
        finally:
            self._free.put_nowait(decoder)

    async def close(self) -> None:
        """End all processes; call it when no batch is being decoded."""
        await asyncio.gather(*(decoder.stop() for decoder in self._decoders))


async def _decode(decoder: DecoderProcess, tasks: Sequence[DecodeTask]) -> Results:
    """By a decoder that is started first, as often as it takes, where it has died before.

    Raises:
        WorkerDiedError: it died over these tasks.
    """
    while decoder.pid is None:
        try:
            await decoder.start()
        except SidewireError as error:
            log.error("a decoder cannot be started: %s", error)
            await asyncio.sleep(RESTART_SECONDS)
    return await decoder.ask(tasks)


async def _decode_alone(decoder: DecoderProcess, task: DecodeTask) -> DecodeResult | DecodeFailure:
    """Of a task whose decoder has died once already, perhaps for another one's sake."""
    reason = ""
    for _ in range(1, DEATHS):
        try:
            (result,) = await _decode(decoder, [task])
            return result
        except WorkerDiedError as death:
            log.warning("a decoder died over %s: %s", task.frame.key, death)
            reason = str(death)
    return DecodeFailure(f"its decoder died {DEATHS} times, the last time: {reason}")
