"""Decoders as processes of this machine, each with its own torch, none of it in the gateway."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from receiver.decoders.interface import DecoderPool
from receiver.decoders.worker import LENGTH, PictureFormat, Settings, packed
from receiver.work import DecodeFailure, DecodeResult, DecodeTask
from shared.errors import BundleError, SidewireError
from shared.wire.v1.types_pb2 import CodecId

__all__ = ["ProcessPool"]

log = logging.getLogger("sidewire.receiver")

#: Not through ``-m``, which would load the module a second time under another name.
COMMAND = (sys.executable, "-c", "from receiver.decoders.worker import main; main()")
#: A task whose decoder has died so often is what kills it.
DEATHS = 3
#: Seconds that a decoder may take to load its models, and that pass after one could not be started.
START_SECONDS = 120.0
RESTART_SECONDS = 1.0

Results = list[DecodeResult | DecodeFailure]


class DecoderDiedError(Exception):
    """The process is gone, and with it whatever it was asked."""


class DecoderProcess:
    """One process, started when it is needed and started again after it died. One request at a time."""

    def __init__(self, settings: Settings, timeout: float) -> None:
        self._settings = settings
        self._timeout = timeout
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return self._process.pid if self._process else None

    async def start(self) -> list[CodecId]:
        """Start it and load its models; what it decodes.

        Raises:
            BundleError: they cannot be loaded. DecoderDiedError: it ended meanwhile.
        """
        # The loop's own thread starts it: Linux takes the end of the starting thread for the parent's.
        # Answers are read whole, so a limit would save nothing; and a paused pipe never shows its end.
        self._process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=PIPE, stdout=PIPE, limit=sys.maxsize
        )
        answer = await self._ask(self._settings, START_SECONDS)
        if isinstance(answer, BundleError):
            await self.stop()
            raise answer
        return [CodecId.FromString(one) for one in answer]

    async def decode(self, tasks: Sequence[DecodeTask]) -> Results:
        """One result a task.

        Raises:
            DecoderDiedError: it ended meanwhile, or took too long and was ended.
        """
        while self._process is None:
            try:
                await self.start()
            except (BundleError, DecoderDiedError, OSError) as error:
                log.error("a decoder cannot be started: %s", error)
                await asyncio.sleep(RESTART_SECONDS)
        results: Results = await self._ask(tasks, self._timeout)
        return results

    async def _ask(self, request: object, timeout: float) -> Any:
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(request)
        except TimeoutError:
            await self.stop()
            raise DecoderDiedError(f"no answer in {timeout:g} s") from None
        except (OSError, EOFError):
            await self.stop()
            raise DecoderDiedError("it ended") from None
        except asyncio.CancelledError:
            # Its answer would be taken for the next one's.
            await self.stop()
            raise

    async def _exchange(self, request: object) -> Any:
        assert self._process is not None
        pipe, answers = self._process.stdin, self._process.stdout
        assert pipe is not None
        assert answers is not None
        pipe.write(packed(request))
        await pipe.drain()
        (length,) = LENGTH.unpack(await answers.readexactly(LENGTH.size))
        return pickle.loads(await answers.readexactly(length))

    async def stop(self) -> None:
        """End it at once."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()


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
        settings = Settings(picture_format, bundle, threads, os.getpid())
        self._decoders = [DecoderProcess(settings, timeout) for _ in range(processes)]
        self._free: asyncio.Queue[DecoderProcess] = asyncio.Queue()

    @property
    def pids(self) -> list[int]:
        """Of the processes that there are at present."""
        return [decoder.pid for decoder in self._decoders if decoder.pid is not None]

    async def start(self) -> Sequence[CodecId]:
        """Start all processes.

        Raises:
            SidewireError: a model cannot be loaded, or a process cannot start.
        """
        starts = [asyncio.create_task(decoder.start()) for decoder in self._decoders]
        await asyncio.gather(*starts, return_exceptions=True)
        try:
            codecs = [start.result() for start in starts]
        except (DecoderDiedError, OSError) as error:
            await self.close()
            raise SidewireError(f"a decoder process could not be started: {error}") from None
        except BundleError:
            await self.close()
            raise
        for decoder in self._decoders:
            self._free.put_nowait(decoder)
        return codecs[0]

    async def decode(self, tasks: Sequence[DecodeTask]) -> Results:
        """See :class:`DecoderPool`."""
        decoder = await self._free.get()
        try:
            return await decoder.decode(tasks)
        except DecoderDiedError as death:
            log.warning(
                "a decoder died over %d pictures, which are repeated: %s", len(tasks), death
            )
            return [await _decode_alone(decoder, task) for task in tasks]
        finally:
            self._free.put_nowait(decoder)

    async def close(self) -> None:
        """End all processes; call it when no batch is being decoded."""
        await asyncio.gather(*(decoder.stop() for decoder in self._decoders))


async def _decode_alone(decoder: DecoderProcess, task: DecodeTask) -> DecodeResult | DecodeFailure:
    """Of a task whose decoder has died once already, perhaps for another one's sake."""
    reason = ""
    for _ in range(1, DEATHS):
        try:
            (result,) = await decoder.decode([task])
            return result
        except DecoderDiedError as death:
            log.warning("a decoder died over %s: %s", task.frame.key, death)
            reason = str(death)
    return DecodeFailure(f"its decoder died {DEATHS} times, the last time: {reason}")
