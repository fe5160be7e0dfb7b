"""Pictures to containers, ahead of who takes them: in processes, in order, in bounded memory."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sender.encode_worker import PROCESS_NAME, CodecSettings, EncodeProcess, Unencodable
from sender.sources import SourcePicture
from shared.bitstream.container import VERSION, Container, codec_name
from shared.errors import LimitError
from shared.wire.v1.types_pb2 import CodecId

__all__ = ["EncodedPicture", "EncoderPool", "Encoders", "SealedPool", "UnencodablePicture"]

READER_NAME = "sidewire-feed"

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture that is ready to be sent."""

    seq: int
    name: str
    content_id: bytes
    container: bytes


@dataclass(frozen=True, slots=True)
class UnencodablePicture:
    """A number without a picture, and in one line why."""

    seq: int
    name: str
    content_id: bytes
    reason: str


class Encoders(Protocol):
    """What makes a source's pictures ready to be sent."""

    @property
    def codec_id(self) -> CodecId | None:
        """What a receiver must have; None before :meth:`start` or where that is not known."""

    async def start(self) -> None:
        """Get ready to encode.

        Raises:
            UnknownCodecError, QualityError, BundleError: the settings are wrong.
            EncoderError: processes die at once.
        """

    def encode(
        self, pictures: Iterator[SourcePicture]
    ) -> AsyncGenerator[EncodedPicture | UnencodablePicture, None]:
        """One result a picture, in the order of the source. A bad picture never stops the others.

        The source is read in a thread, and no farther than ``ahead`` pictures beyond what was taken.

        Raises:
            SidewireError: from the iterator, after all that came before it: whatever the source
            raised, or EncoderError.
        """

    async def close(self) -> None:
        """Stop. Iterators of :meth:`encode` are to be closed first (``contextlib.aclosing``)."""


@dataclass(frozen=True, slots=True)
class _End:
    """After the last item; ``error`` is what the source raised, if it did."""

    error: Exception | None = None


async def _work_ahead(
    source: Iterator[ItemT],
    work: Callable[[ItemT], Coroutine[Any, Any, ResultT]],
    ahead: int,
) -> AsyncGenerator[ResultT, None]:
    """Results of ``work`` in order, begun as soon as an item was read in a thread.

    At most ``ahead`` items are in work or finished and not yet taken.
    """
    loop = asyncio.get_running_loop()
    room = threading.Semaphore(ahead)
    begun: asyncio.Queue[asyncio.Task[ResultT] | _End] = asyncio.Queue()
    stopped = threading.Event()

    def begin(item: ItemT) -> None:
        if not stopped.is_set():
            begun.put_nowait(loop.create_task(work(item)))

    def read() -> None:
        end = _End()
        try:
            room.acquire()
            for item in source:
                loop.call_soon_threadsafe(begin, item)
                room.acquire()
                if stopped.is_set():
                    return
        except Exception as error:
            end = _End(error)
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(begun.put_nowait, end)

    # A daemon, as a source such as a pipe may never come to its next item.
    threading.Thread(target=read, name=READER_NAME, daemon=True).start()
    task: asyncio.Task[ResultT] | _End = _End()
    try:
        while isinstance(task := await begun.get(), asyncio.Task):
            result = await task
            room.release()
            yield result
        if task.error:
            raise task.error
    finally:
        stopped.set()
        room.release()
        left = [task] + [begun.get_nowait() for _ in range(begun.qsize())]
        tasks = [one for one in left if isinstance(one, asyncio.Task)]
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class EncoderPool:
    """Encoding processes, each with a codec of its own; see :class:`Encoders`.

    Args:
        codec, quality: what to encode with.
        processes: how many; they share the machine's cores.
        ahead: pictures that are read before they are taken.
        bundle: folder of another model bundle than the one that ships.

    Raises:
        LimitError: ``processes`` or ``ahead`` is below 1.
    """

    def __init__(
        self, codec: str, quality: int, processes: int, ahead: int, bundle: Path | None = None
    ) -> None:
        _check_at_least_one(processes=processes, ahead=ahead)
        threads = max(1, len(os.sched_getaffinity(0)) // processes)
        settings = CodecSettings(codec, quality, threads, bundle)
        self._processes = [EncodeProcess(settings) for _ in range(processes)]
        self._idle: asyncio.Queue[EncodeProcess] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(processes, PROCESS_NAME)
        self._ahead = ahead
        self._codec_id: CodecId | None = None

    @property
    def codec_id(self) -> CodecId | None:
        """See :class:`Encoders`."""
        return self._codec_id

    async def start(self) -> None:
        """See :class:`Encoders`."""
        loop = asyncio.get_running_loop()
        starts = [loop.run_in_executor(self._threads, one.start) for one in self._processes]
        try:
            containers = await asyncio.gather(*starts)
        except BaseException:
            await self.close()
            raise
        header = Container.from_bytes(containers[0]).header
        self._codec_id = CodecId(
            name=codec_name(header.codec_id), bitstream_version=VERSION, model_id=header.model_id
        )
        for process in self._processes:
            self._idle.put_nowait(process)

    def encode(
        self, pictures: Iterator[SourcePicture]
    ) -> AsyncGenerator[EncodedPicture | UnencodablePicture, None]:
        """See :class:`Encoders`."""
        return _work_ahead(pictures, self._encode, self._ahead)

    async def _encode(self, picture: SourcePicture) -> EncodedPicture | UnencodablePicture:
        process = await self._idle.get()
        try:
            # Where this is cancelled the process finishes; who comes next waits for it, in its thread.
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _encode_with, process, picture)
        finally:
            self._idle.put_nowait(process)

    async def close(self) -> None:
        """See :class:`Encoders`."""
        await asyncio.gather(*(asyncio.to_thread(one.stop) for one in self._processes))
        await asyncio.to_thread(self._threads.shutdown)


def _encode_with(
    process: EncodeProcess, picture: SourcePicture
) -> EncodedPicture | UnencodablePicture:
    made = process.encode(picture.image)
    if isinstance(made, Unencodable):
        return UnencodablePicture(picture.seq, picture.name, picture.content_id, made.reason)
    return EncodedPicture(picture.seq, picture.name, picture.content_id, made)


class SealedPool:
    """For feeds whose pictures are containers already: they pass unread. See :class:`Encoders`.

    Raises:
        LimitError: ``ahead`` is below 1.
    """

    #: Not known without reading a container, and each may be of another codec.
    codec_id: CodecId | None = None

    def __init__(self, ahead: int) -> None:
        _check_at_least_one(ahead=ahead)
        self._ahead = ahead

    async def start(self) -> None:
        """Nothing to do."""

    def encode(
        self, pictures: Iterator[SourcePicture]
    ) -> AsyncGenerator[EncodedPicture | UnencodablePicture, None]:
        """See :class:`Encoders`."""
        return _work_ahead(pictures, _sealed, self._ahead)

    async def close(self) -> None:
        """Nothing to do."""


async def _sealed(picture: SourcePicture) -> EncodedPicture | UnencodablePicture:
    if not picture.image:
        reason = "the feed holds no container for it"
        return UnencodablePicture(picture.seq, picture.name, picture.content_id, reason)
    return EncodedPicture(picture.seq, picture.name, picture.content_id, picture.image)


def _check_at_least_one(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise LimitError(name, value, 1, least=True)
