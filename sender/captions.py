"""``sidewire captions``: the caption publisher, a component of its own with a connection of its own.

It needs no journal: its feed can be read again, and the receiver says which captions have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from sender.link import Route
from sender.observer import SendObserver
from sender.schedule import Disturbance, schedule
from sender.settings import CaptionSettings
from sender.sources import SourceCaption, default_stream_id, read_captions
from sender.sources.reading import STANDARD_INPUT, check_feed
from sender.traced import traced
from sender.window import SendWindow
from sender.words import CaptionLink, EpochOverError, Words
from shared.errors import WorkLeftError
from shared.feed_columns import CAPTION_COLUMNS
from shared.logs import log_to_standard_error
from shared.wire.positions import Positions

__all__ = ["Published", "publish", "run_captions"]

log = logging.getLogger("sidewire.captions")

#: Of a sender's and a publisher's lines for people.
LOG_FORMAT = "sidewire: %(message)s"

#: Captions read ahead of the network, and read at once.
AHEAD = 4096
CHUNK = 64

T = TypeVar("T")


@dataclass(frozen=True)
class Published:
    """What a run of ``captions`` did.

    Attributes:
        epoch: that the captions were published in.
        captions: of this run, by how they ended.
        ended_before: captions of the epoch that had ended when the run began.
        connections: that it took.
        seconds: from the first attach to the last end.
    """

    stream_id: str
    epoch: int
    captions: Counter[str]
    ended_before: int
    connections: int
    seconds: float


async def chunks(items: Iterator[T], size: int) -> AsyncIterator[list[T]]:
    """Items in lists, read in a thread: a slow disk or pipe does not stop the loop."""
    while chunk := await asyncio.to_thread(lambda: list(islice(items, size))):
        yield chunk


class Publisher:
    """One pass over a feed, in one epoch.

    Args:
        times: when each is due without delay and jitter, in seconds from the start, by its number; None to
            go by the settings' rate.
    """

    def __init__(
        self,
        settings: CaptionSettings,
        route: Route,
        observer: SendObserver,
        times: Sequence[float] | None = None,
    ) -> None:
        self._settings = settings
        self._times = times
        self._window: SendWindow[Words] = SendWindow()
        self._room = asyncio.Event()
        self._started: asyncio.Future[Positions] = asyncio.get_running_loop().create_future()
        self._link = CaptionLink(
            route,
            settings.stream or default_stream_id(settings.feed),
            self._window,
            language=settings.language,
            ttl=settings.ttl,
            started=self._started,
            progressed=self._room.set,
            observer=observer,
        )

    async def run(self) -> Published:
        """Send until every caption has ended.

        Raises:
            EpochOverError: begin again. WireError, SidewireError: see :class:`sender.link.Link`.
        """
        reading = asyncio.create_task(self._read())
        sending = asyncio.create_task(self._link.run())
        try:
            done, _ = await asyncio.wait((reading, sending), return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in (reading, sending):
                task.cancel()
            await asyncio.gather(reading, sending, return_exceptions=True)
        link = self._link
        return Published(
            stream_id=link.stream_id,
            epoch=link.epoch,
            captions=link.dispositions,
            ended_before=self._started.result().count,
            connections=link.connections,
            seconds=link.seconds,
        )

    @property
    def left(self) -> int:
        """Captions that were read and have not ended."""
        return len(self._window)

    def _words(self, positions: Positions) -> Iterator[Words]:
        settings = self._settings
        source = read_captions(
            settings.feed,
            start=positions.cumulative,
            repeat=settings.repeat,
            which=settings.which,
        )
        for one in source:
            if one.seq not in positions and (one.text is not None or settings.tombstones):
                yield _within(one)

    async def _read(self) -> None:
        positions = await self._started
        settings = self._settings
        disturbance = Disturbance(
            delay=settings.delay,
            jitter=settings.delay_jitter,
            drop=settings.drop,
            shuffle=settings.shuffle,
            rate=settings.rate,
            seed=settings.seed,
        )
        # The caption that would fill a chunk may come through a pipe much later.
        size = 1 if settings.feed == STANDARD_INPUT else CHUNK
        loop = asyncio.get_running_loop()
        start = loop.time()
        due_at = self._due_at if self._times is not None else None
        scheduled = schedule(self._words(positions), disturbance, due_at)
        async for chunk in chunks(scheduled, size):
            for due, words in chunk:
                await asyncio.sleep(max(0.0, start + due - loop.time()))
                while len(self._window) >= AHEAD:
                    self._room.clear()
                    await self._room.wait()
                self._window.add(words)
                self._link.changed()
        self._window.exhaust()
        self._link.changed()

    def _due_at(self, words: Words) -> float:
        assert self._times is not None
        return self._times[words.seq]


def _within(caption: SourceCaption) -> Words:
    return Words(caption.seq, caption.content_id, caption.text)


async def publish(settings: CaptionSettings, times: Sequence[float] | None = None) -> Published:
    """Send every caption of the feed, through lost connections and new epochs, until all have ended.

    Args:
        times: see :class:`Publisher`.

    Raises:
        WorkLeftError: SIGTERM or SIGINT came first. SidewireError: the feed or the receiver refuses.
        MissingExtraError: what reads the feed is not installed.
    """
    check_feed(settings.feed, CAPTION_COLUMNS)
    route = Route(
        settings.to,
        settings.security(),
        settings.stall_seconds,
        settings.reconnect_seconds or None,
    )
    stream_id = settings.stream or default_stream_id(settings.feed)
    with traced(settings.traces, "caption", stream_id) as observer:
        return await _publish(settings, route, observer, times)


async def _publish(
    settings: CaptionSettings,
    route: Route,
    observer: SendObserver,
    times: Sequence[float] | None,
) -> Published:
    while True:
        publisher = Publisher(settings, route, observer, times)
        work = asyncio.create_task(publisher.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        try:
            return await work
        except EpochOverError as error:
            log.info("%s: publishing the feed again", error)
        except asyncio.CancelledError:
            raise WorkLeftError(
                f"stopped; {publisher.left} captions that were read have not ended"
            ) from None


def run_captions(settings: CaptionSettings, times: Sequence[float] | None = None) -> Published:
    """The command.

    Args:
        times: see :class:`Publisher`.

    Raises:
        SidewireError: as :func:`publish`.
    """
    log_to_standard_error(settings.log_format, LOG_FORMAT)
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(publish(settings, times))
    raise WorkLeftError("stopped")
