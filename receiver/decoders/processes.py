"""Decoders as processes of this machine, each with its own torch, none of it in the gateway."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from receiver.decoders.batches import InspectTask, Results
from receiver.decoders.interface import DECODE_SECONDS, InspectingPool, Inspection
from receiver.decoders.repeating import decode_through_deaths
from receiver.decoders.worker import Answer, DecodingSettings, PictureFormat, Request, build_decoder
from receiver.work import DecodeTask
from shared.errors import SidewireError
from shared.wire.v1.types_pb2 import CodecId
from shared.workers import WorkerProcess

__all__ = ["ProcessPool"]

log = logging.getLogger("sidewire.receiver")

#: Seconds that pass after a decoder could not be started.
RESTART_SECONDS = 1.0

DecoderProcess = WorkerProcess[list[bytes], Request, Answer]


class ProcessPool(InspectingPool):
    """A fixed number of decoder processes; a batch goes to one that is free.

    A process that dies (killed, out of memory) or takes too long over a batch is started again, and its
    batch is repeated one task at a time: the task that kills its decoder three times becomes a failure,
    the others are decoded.

    Args:
        processes: how many; they share the machine's cores.
        bundle: folder of the only model that is decoded; None for the shipped ones.
        generator: which codec decodes the streams that several can: a name, or a bundle's folder.
        timeout: seconds that a batch may take.
    """

    batch_limit = 8

    def __init__(
        self,
        processes: int,
        picture_format: PictureFormat = PictureFormat.PNG,
        bundle: Path | None = None,
        timeout: float = DECODE_SECONDS,
        generator: str = "ssa",
    ) -> None:
        self.width = processes
        threads = max(1, len(os.sched_getaffinity(0)) // processes)
        build = partial(build_decoder, DecodingSettings(picture_format, bundle, threads, generator))
        self._decoders = [
            DecoderProcess("decoder process", build, timeout) for _ in range(processes)
        ]
        self._free: asyncio.Queue[DecoderProcess] = asyncio.Queue()

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that there are at present."""
        return [decoder.pid for decoder in self._decoders if decoder.pid is not None]

    @property
    def alive(self) -> int:
        """See :class:`DecoderPool`."""
        return len(self.pids)

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
        self.codecs = [CodecId.FromString(one) for one in codecs[0]]
        return self.codecs

    async def decode(self, tasks: Sequence[DecodeTask]) -> Results:
        """See :class:`DecoderPool`."""
        decoder = await self._free.get()
        try:
            return await decode_through_deaths(partial(_decode, decoder), tasks)
        finally:
            self._free.put_nowait(decoder)

    async def inspect(
        self, container: bytes, caption: str | None, language: str = ""
    ) -> Inspection:
        """See :class:`InspectingPool`.

        Raises:
            WorkerDiedError: the decoder died over it.
        """
        decoder = await self._free.get()
        try:
            seen = await _ask(decoder, InspectTask(container, caption, language))
        finally:
            self._free.put_nowait(decoder)
        if isinstance(seen, SidewireError):
            raise seen
        assert isinstance(seen, Inspection)
        return seen

    async def watch(self) -> None:
        """A decoder that died is mended where it is asked."""

    async def close(self) -> None:
        """End all processes; call it when no batch is being decoded."""
        await asyncio.gather(*(decoder.stop() for decoder in self._decoders))


async def _decode(decoder: DecoderProcess, tasks: Sequence[DecodeTask]) -> Results:
    answer = await _ask(decoder, tasks)
    assert isinstance(answer, list)
    return answer


async def _ask(decoder: DecoderProcess, request: Request) -> Answer:
    """Ask a decoder, which is started first, as often as it takes, where it has died before.

    Raises:
        WorkerDiedError: it died over this request.
    """
    while decoder.pid is None:
        try:
            await decoder.start()
        except SidewireError as error:
            log.error("a decoder cannot be started: %s", error)
            await asyncio.sleep(RESTART_SECONDS)
    return await decoder.ask(request)
