"""One run of a picture sender over a feed.

feed --thread--> encoder processes --> journal (SQLite) --> window --> picture channel
                      ahead, in order        bounded           credit
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sender.encoders import EncodedPicture, Encoders, UnencodablePicture
from sender.journal import Journal, Outgoing
from sender.link import Route
from sender.observer import UNSEEN, SendObserver
from sender.pictures import PictureLink
from sender.settings import SendSettings
from sender.sources import SourcePicture, read_pictures
from sender.window import SendWindow

__all__ = ["Pace", "Progress", "Sender", "Sent", "at_once", "quiet"]

log = logging.getLogger("sidewire.sender")

#: Encoded frames that wait for the journal, and that it takes at once.
BETWEEN = 64
#: Frames in memory and on disk at most, however small: one without a container takes no bytes.
MOST_UNACKED = 1 << 14
RETRY_SECONDS = 1.0
T = TypeVar("T")
#: Frames that have ended, and frames that have not.
Progress = Callable[[int, int], None]
#: Hands a feed's pictures on, each when it is due; it runs in the thread that reads the feed.
Pace = Callable[[Iterator[SourcePicture]], Iterator[SourcePicture]]


def quiet(ended: int, unacked: int) -> None:
    """Nobody watches."""


def at_once(pictures: Iterator[SourcePicture]) -> Iterator[SourcePicture]:
    """Every picture is due as soon as there is room for it."""
    return pictures


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
        self,
        settings: SendSettings,
        journal: Journal,
        encoders: Encoders,
        progress: Progress = quiet,
        observer: SendObserver = UNSEEN,
        pace: Pace = at_once,
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._pace = pace
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
        codec = encoders.codec_id
        self._link = PictureLink(
            Route(
                settings.images,
                settings.security(),
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
            observer=observer,
        )

    async def run(self) -> Sent:
        """Send until everything has ended.

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

    def close(self) -> None:
        """Wait for the journal's thread: one that is closed under a call in it crashes the process."""
        self._storage.shutdown()

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
        told = settings.caption_which if self._encoders.told else None
        pictures = read_pictures(
            settings.feed,
            start=start,
            repeat=settings.repeat,
            told=told,
            tellings=self._encoders.tellings,
        )
        if told is not None:
            pictures = _watched(pictures, settings.captioner is not None)
        loop = asyncio.get_running_loop()
        began, count = loop.time(), 0
        paced = self._pace(pictures)
        async with aclosing(self._encoders.encode(paced, self._observer)) as results:
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
            while self._full():
                self._room.clear()
                await self._room.wait()
        self._window.exhaust()
        self._link.changed()

    def _full(self) -> bool:
        return self._window.bytes > self._settings.journal_bytes or len(self._window) > MOST_UNACKED

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


def _watched(pictures: Iterator[SourcePicture], captioned: bool) -> Iterator[SourcePicture]:
    """The pictures, and a word where not one of them has a caption for an encoder that reads it."""
    count = spoken = 0
    for picture in pictures:
        count += 1
        spoken += picture.caption is not None
        yield picture
    if count and not spoken and not captioned:
        log.warning(
            "no caption for any of %d pictures: all were encoded as if nothing was said", count
        )


def _outgoing(encoded: EncodedPicture | UnencodablePicture) -> Outgoing:
    if isinstance(encoded, UnencodablePicture):
        log.warning("skipped %s: %s", encoded.name, encoded.reason)
        return Outgoing(encoded.seq, encoded.name, encoded.content_id, b"", encoded.reason)
    if encoded.warning:
        log.warning("%s is encoded as if nothing was said: %s", encoded.name, encoded.warning)
    return Outgoing(encoded.seq, encoded.name, encoded.content_id, encoded.container)
