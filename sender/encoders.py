"""Pictures to containers, ahead of who takes them: in processes, in order, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from sender.encode_worker import (
    CodecSettings,
    EncoderTerms,
    EncodeTask,
    Made,
    Unencodable,
    build_encoder,
)
from sender.observer import UNSEEN, SendObserver
from sender.sources import SourcePicture
from sender.work_ahead import work_ahead
from shared.bitstream.container import BITSTREAM_VERSION
from shared.errors import LimitError, SidewireError
from shared.wire.v1.types_pb2 import CodecId
from shared.workers import WorkerDiedError, WorkerProcess

__all__ = [
    "EncodedPicture",
    "EncoderError",
    "EncoderPool",
    "Encoders",
    "SealedPool",
    "UnencodablePicture",
]

#: Deaths of a process at one picture after which the picture is to blame.
DEATHS_AT_A_PICTURE = 2
#: Deaths while the codec is being built after which it is no use trying.
DEATHS_AT_START = 3
#: Seconds after which a process is taken for stuck. The largest picture takes one core half a minute, and a
#: slow one some minutes.
ENCODE_SECONDS = 1800.0

#: Of a process. Threads that share a picture wait for each other, and beside decoders that is spinning:
#: as many processes make more pictures.
THREADS = 1

EncodeProcess = WorkerProcess[EncoderTerms, EncodeTask, Made | Unencodable]


class EncoderError(SidewireError):
    """Encoding processes cannot be kept alive."""


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture that is ready to be sent; ``warning`` as in :class:`sender.encode_worker.Made`."""

    seq: int
    name: str
    content_id: bytes
    container: bytes
    warning: str = ""


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

    @property
    def told(self) -> bool:
        """Whether it reads captions; known after :meth:`start`."""

    @property
    def tellings(self) -> bool:
        """Whether it reads whole tellings where a feed has them; known after :meth:`start`."""

    async def start(self) -> None:
        """Get ready to encode.

        Raises:
            UnknownCodecError, QualityError, BundleError, CaptionerError: the settings are wrong.
            EncoderError: processes die at once.
        """

    def encode(
        self, pictures: Iterator[SourcePicture], observer: SendObserver = UNSEEN
    ) -> AsyncGenerator[EncodedPicture | UnencodablePicture, None]:
        """One result a picture, in the order of the source. A bad picture never stops the others.

        The source is read in a thread, and no farther than ``ahead`` pictures beyond what was taken.

        Raises:
            SidewireError: from the iterator, after all that came before it: whatever the source
            raised, or EncoderError.
        """

    async def close(self) -> None:
        """Stop for good. Iterators of :meth:`encode` are to be closed first
        (``contextlib.aclosing``); one that is not ends with EncoderError."""


class EncoderPool:
    """Encoding processes, each with a codec of its own; see :class:`Encoders`.

    A process that dies is started again and its picture tried again. A picture over which a second one
    dies is to blame.

    Args:
        codec, quality: what to encode with.
        processes: how many, of one thread each.
        ahead: pictures that are read before they are taken.
        bundle: folder of another model bundle than the one that ships.
        preview_bytes: of previews that are made in place of whole pictures; None for these.
        captioner: folder of a model that is asked about pictures without a caption; each process has one.

    Raises:
        LimitError: ``processes`` or ``ahead`` is below 1.
    """

    def __init__(
        self,
        codec: str,
        quality: int | None,
        processes: int,
        ahead: int,
        bundle: Path | None = None,
        preview_bytes: int | None = None,
        captioner: Path | None = None,
    ) -> None:
        _check_at_least_one(processes=processes, ahead=ahead)
        settings = CodecSettings(codec, quality, THREADS, bundle, preview_bytes, captioner)
        build = partial(build_encoder, settings)
        self._processes = [
            EncodeProcess("encoding process", build, ENCODE_SECONDS) for _ in range(processes)
        ]
        self._idle: asyncio.Queue[EncodeProcess] = asyncio.Queue()
        self._closed = False
        self._codec = codec
        self._ahead = ahead
        self._codec_id: CodecId | None = None
        self._told = self._tellings = False

    @property
    def codec_id(self) -> CodecId | None:
        """See :class:`Encoders`."""
        return self._codec_id

    @property
    def told(self) -> bool:
        """See :class:`Encoders`."""
        return self._told

    @property
    def tellings(self) -> bool:
        """See :class:`Encoders`."""
        return self._tellings

    async def start(self) -> None:
        """See :class:`Encoders`."""
        try:
            terms, *_ = await asyncio.gather(*map(self._start, self._processes))
        except BaseException:
            await self.close()
            raise
        self._codec_id = CodecId(
            name=terms.stream, bitstream_version=BITSTREAM_VERSION, model_id=terms.model_id
        )
        self._told, self._tellings = terms.told, terms.tellings
        for process in self._processes:
            self._idle.put_nowait(process)

    def encode(
        self, pictures: Iterator[SourcePicture], observer: SendObserver = UNSEEN
    ) -> AsyncGenerator[EncodedPicture | UnencodablePicture, None]:
        """See :class:`Encoders`."""
        return work_ahead(pictures, partial(self._encode, observer), self._ahead)

    async def close(self) -> None:
        """See :class:`Encoders`."""
        self._closed = True
        await asyncio.gather(*(process.stop() for process in self._processes))

    async def _encode(
        self, observer: SendObserver, picture: SourcePicture
    ) -> EncodedPicture | UnencodablePicture:
        process = await self._idle.get()
        observer.encoding(picture.seq)
        try:
            made = await self._ask(process, EncodeTask(picture.image, picture.caption))
        finally:
            self._idle.put_nowait(process)
        observer.encoded(picture.seq, 0 if isinstance(made, Unencodable) else len(made.container))
        frame = picture.seq, picture.name, picture.content_id
        if isinstance(made, Unencodable):
            return UnencodablePicture(*frame, made.reason)
        return EncodedPicture(*frame, made.container, made.warning)

    async def _ask(self, process: EncodeProcess, task: EncodeTask) -> Made | Unencodable:
        for _ in range(DEATHS_AT_A_PICTURE):
            if process.pid is None:
                await self._start(process)
            try:
                return await process.ask(task)
            except WorkerDiedError:
                self._check_open()  # ended by close, it is not the picture's fault
        return Unencodable(f"its encoding process died {DEATHS_AT_A_PICTURE} times")

    async def _start(self, process: EncodeProcess) -> EncoderTerms:
        self._check_open()
        for _ in range(DEATHS_AT_START):
            try:
                return await process.start()
            except WorkerDiedError as error:
                self._check_open()
                death = error
        raise EncoderError(
            f"an encoding process died {DEATHS_AT_START} times while it built codec"
            f" {self._codec!r}, the last time: {death}"
        )

    def _check_open(self) -> None:
        if self._closed:
            raise EncoderError("the encoding process was stopped")


class SealedPool:
    """A pool for feeds whose pictures are containers already: they pass unread. See :class:`Encoders`.

    Raises:
        LimitError: ``ahead`` is below 1.
    """

    #: Not known without reading a container, and each may be of another codec.
    codec_id: CodecId | None = None
    told = tellings = False

    def __init__(self, ahead: int) -> None:
        _check_at_least_one(ahead=ahead)
        self._ahead = ahead

    async def start(self) -> None:
        """Nothing to do."""

    def encode(
        self, pictures: Iterator[SourcePicture], observer: SendObserver = UNSEEN
    ) -> AsyncGenerator[EncodedPicture | UnencodablePicture, None]:
        """See :class:`Encoders`."""
        return work_ahead(pictures, partial(_sealed, observer), self._ahead)

    async def close(self) -> None:
        """Nothing to do."""


async def _sealed(
    observer: SendObserver, picture: SourcePicture
) -> EncodedPicture | UnencodablePicture:
    observer.encoding(picture.seq)
    observer.encoded(picture.seq, len(picture.image))
    if not picture.image:
        reason = "the feed holds no container for it"
        return UnencodablePicture(picture.seq, picture.name, picture.content_id, reason)
    return EncodedPicture(picture.seq, picture.name, picture.content_id, picture.image)


def _check_at_least_one(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise LimitError(name, value, 1, least=True)
