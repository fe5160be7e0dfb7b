"""``sidewire send``: read a feed, encode ahead, journal, stream, until every picture is acked.

    feed --thread--> encoder processes --> journal (SQLite) --> window --> picture channel
                          ahead, in order        bounded           credit

With a caption address it starts the caption publisher as a process of its own.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from typing import TypeVar

from sender.captions import run_captions
from sender.encoders import EncodedPicture, EncoderPool, Encoders, SealedPool, UnencodablePicture
from sender.journal import Journal, Outgoing
from sender.link import Route
from sender.pictures import PictureLink
from sender.settings import CaptionSettings, SendSettings
from sender.sources import default_stream_id, read_pictures
from sender.window import SendWindow
from shared.errors import SidewireError, WorkLeftError
from shared.locks import only_one
from shared.wire.channels import client_channel
from shared.workers import stay_with_parent

__all__ = ["Sent", "run_send", "send"]

log = logging.getLogger("sidewire.sender")

#: Encoded frames that wait for the journal, and that it takes at once.
BETWEEN = 64
RETRY_SECONDS = 1.0
LOG_FORMAT = "sidewire: %(message)s"
T = TypeVar("T")
#: Frames that have ended, and frames that have not.
Progress = Callable[[int, int], None]


def quiet(ended: int, unacked: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Sent:
    """What a run of ``send`` did.

    Attributes:
        frames: of this run, by how they ended.
        failed: one line for each that the receiver will not have and has not ended.
        resent: messages beyond one a frame.
        seconds: from the first attach to the last ack.
    """

    stream_id: str
    epoch: int
    frames: Counter[str]
    failed: Sequence[str]
    resent: int
    connections: int
    seconds: float


class Sender:
    """One run over a feed."""

    def __init__(
        self, settings: SendSettings, journal: Journal, encoders: Encoders, progress: Progress
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._journal = journal
        self._encoders = encoders
        self._storage = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._window: SendWindow[Outgoing] = SendWindow()
        self._between: asyncio.Queue[Outgoing | None] = asyncio.Queue(BETWEEN)
        self._room = asyncio.Event()
        place = journal.place()
        #: The first number that is not in the journal yet.
        self._next_seq = place.next_seq
        expects = settings.expect_captions
        security = settings.security()
        codec = encoders.codec_id
        self._link = PictureLink(
            Route(
                settings.images,
                lambda address: client_channel(address, security),
                settings.stall_seconds,
                settings.reconnect_seconds or None,
            ),
            place.stream_id,
            self._window,
            epoch=place.epoch,
            session_id=place.session_id,
            codecs=[codec] if codec is not None else [],
            expects_captions=bool(settings.captions) if expects is None else expects,
            ttl=settings.ttl,
            enter=lambda epoch, session_id: self._stored(partial(journal.enter, epoch, session_id)),
            forget=self._forget,
            first_seq=self._first_seq,
        )

    async def run(self) -> Sent:
        """Until everything has ended.

        Raises:
            WireError, SidewireError: see :class:`sender.link.Link`.
        """
        for frame in await self._stored(self._journal.unacked):
            self._window.add(frame)
        tasks = [
            asyncio.create_task(work)
            for work in (self._encode(), self._write_journal(), self._link.run())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._sent()

    async def finish(self) -> None:
        """Everything of this feed has ended, captions too."""
        await self._stored(self._journal.finish)

    def _sent(self) -> Sent:
        place = self._journal.place()
        failed = [f"{item.name} (seq {item.seq}): {error}" for item, error in self._window.failures]
        frames = self._link.dispositions
        resent = max(0, self._link.sent - frames.total())
        return Sent(
            place.stream_id,
            place.epoch,
            frames,
            failed,
            resent,
            self._link.connections,
            self._link.seconds,
        )

    def _first_seq(self) -> int:
        lowest = self._window.lowest()
        return self._next_seq if lowest is None else lowest

    @property
    def left(self) -> int:
        """Frames in the journal that have not ended."""
        return len(self._window)

    async def _encode(self) -> None:
        settings = self._settings
        start = self._journal.place().next_seq
        pictures = read_pictures(settings.feed, start=start, repeat=settings.repeat)
        loop = asyncio.get_running_loop()
        began, count = loop.time(), 0
        async with aclosing(self._encoders.encode(pictures)) as results:
            async for encoded in results:
                if settings.rate:
                    await asyncio.sleep(max(0.0, began + count / settings.rate - loop.time()))
                    count += 1
                await self._between.put(_outgoing(encoded))
        await self._between.put(None)

    async def _write_journal(self) -> None:
        over = False
        while not over:
            batch = [await self._between.get()]
            while not self._between.empty():
                batch.append(self._between.get_nowait())
            over = None in batch
            frames = [one for one in batch if one is not None]
            if frames:
                await self._stored(partial(self._journal.add, frames))
            for frame in frames:
                self._window.add(frame)
                self._next_seq = frame.seq + 1
            self._link.changed()
            while self._window.bytes > self._settings.journal_bytes:
                self._room.clear()
                await self._room.wait()
        self._window.exhaust()
        self._link.changed()

    async def _forget(self, seqs: Sequence[int]) -> None:
        await self._stored(partial(self._journal.forget, seqs))
        self._room.set()
        self._progress(self._link.dispositions.total() + len(seqs), len(self._window))

    async def _stored(self, call: Callable[[], T]) -> T:
        """A journal call in its thread; a full disk is waited out."""
        told = False
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._storage, call)
            except sqlite3.OperationalError as error:
                if not told:
                    log.error("waiting: the journal %s: %s", self._journal.path, error)
                told = True
                await asyncio.sleep(RETRY_SECONDS)


def _outgoing(encoded: EncodedPicture | UnencodablePicture) -> Outgoing:
    if isinstance(encoded, UnencodablePicture):
        log.warning("skipped %s: %s", encoded.name, encoded.reason)
        return Outgoing(encoded.seq, encoded.name, encoded.content_id, b"", encoded.reason)
    return Outgoing(encoded.seq, encoded.name, encoded.content_id, encoded.container)


async def send(settings: SendSettings, progress: Progress = quiet) -> Sent:
    """Send a feed; goes on where its journal stands.

    Args:
        progress: told after each ack how many frames of this run have ended, and how many not.

    Raises:
        WorkLeftError: SIGTERM or SIGINT came first; the journal has what is left.
        SidewireError: the feed, the journal or the receiver refuses, with what to do.
    """
    stream_id = settings.stream or default_stream_id(settings.feed)
    folder = settings.state_folder(stream_id)
    with only_one(folder):
        journal = Journal(folder / "journal.sqlite", stream_id)
        try:
            place = journal.place()
            if place.complete and not settings.again:
                log.warning(
                    "all of stream %r was acked before (state in %s): nothing was sent; --again sends"
                    " it once more",
                    stream_id,
                    folder,
                )
                return Sent(stream_id, place.epoch, Counter(), (), 0, 0, 0.0)
            if place.complete:
                journal.restart()
            return await _send(settings, journal, progress)
        finally:
            journal.close()


async def _send(settings: SendSettings, journal: Journal, progress: Progress) -> Sent:
    encoders: Encoders = (
        SealedPool(settings.ahead)
        if settings.codec == "sealed"
        else EncoderPool(
            settings.codec, settings.quality, settings.processes, settings.ahead, settings.bundle
        )
    )
    await encoders.start()
    publisher = _start_publisher(settings, journal.place().stream_id)
    try:
        sender = Sender(settings, journal, encoders, progress)
        work = asyncio.create_task(_all(sender, publisher))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        try:
            return await work
        except asyncio.CancelledError:
            raise WorkLeftError(
                f"stopped; {sender.left} frames are in the journal and will be sent again"
            ) from None
    finally:
        if publisher is not None and publisher.is_alive():
            publisher.terminate()
            publisher.join(5)
        await encoders.close()


async def _all(sender: Sender, publisher: BaseProcess | None) -> Sent:
    sent = await sender.run()
    if publisher is not None:
        await asyncio.to_thread(publisher.join)
        if publisher.exitcode:
            raise SidewireError(f"the caption publisher ended with code {publisher.exitcode}")
    await sender.finish()
    return sent


def _start_publisher(settings: SendSettings, stream_id: str) -> BaseProcess | None:
    if not settings.captions:
        return None
    if settings.feed == "-":
        raise SidewireError(
            "a feed on standard input has one reader: run `sidewire captions` apart"
        )
    captions = settings.caption_settings(stream_id)
    process = multiprocessing.get_context("spawn").Process(
        target=_publish, args=(captions,), name="captions"
    )
    process.start()
    return process


def _publish(settings: CaptionSettings) -> None:
    """The publisher's process: errors in one line, as the command has them."""
    logging.basicConfig(format=LOG_FORMAT)
    # One that outlived its sender would take the channel from the next sender's.
    parent = multiprocessing.parent_process()
    assert parent is not None
    assert parent.pid is not None
    stay_with_parent(parent.pid)
    try:
        run_captions(settings)
    except SidewireError as error:
        sys.exit(f"sidewire captions: {error}")


def run_send(settings: SendSettings, progress: Progress = quiet) -> Sent:
    """The command.

    Raises:
        SidewireError: as :func:`send`.
    """
    logging.basicConfig(format=LOG_FORMAT)
    return asyncio.run(send(settings, progress))
