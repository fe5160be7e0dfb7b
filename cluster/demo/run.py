"""One run of the demo: receiver, viewer and lab here, senders as processes, from start to end."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cluster.actors.metrics import GatewayMetrics
from cluster.actors.receiving import ray_pool
from cluster.actors.runtime import connected
from cluster.demo.items import count_items, feed_items
from cluster.demo.newsroom import Newsroom
from cluster.demo.options import DemoOptions
from cluster.demo.report import Summary, summarise, write_report
from cluster.demo.senders import STREAM, running
from cluster.progress import FramesEnded, Meter
from receiver.decoders.interface import DecoderPool
from receiver.observer import Observer, Observers
from receiver.serve import Addresses, make_pool, receive
from receiver.settings import ReceiveSettings
from receiver.sinks.staging import Staging
from receiver.viewer.answers import HOST, listen
from receiver.viewer.app import create_app
from receiver.viewer.comparing import comparable
from receiver.viewer.gallery import GallerySink
from receiver.viewer.lab import Lab
from receiver.viewer.posts import Origin, Post
from receiver.viewer.timeline import Timeline
from receiver.viewer.upload.studio import Studio
from receiver.viewer.viewer import Viewer
from receiver.web import WebServer
from shared.errors import SidewireError, first_of
from shared.feed import FeedError
from shared.systems.catalogue import system

__all__ = ["run_demo"]

#: What a visitor sees, who asks for nothing else: the codec, and the level of its stream, about 0.03 bits a
#: pixel over the shipped feeds.
CODEC, QUALITY = "ssa", 11
#: Of the decoders on Ray.
NAMESPACE = "sidewire-demo"
#: Posts of the live page; older ones go, with their files.
KEEP = 40
#: Seconds in which a caption still refines its picture: longer than any control delays one.
LATE_WINDOW = 600.0
#: That a report may take for comparisons with formats of the day.
COMPARE_SECONDS = 30.0


@dataclass(frozen=True)
class Folders:
    """Folders of a run."""

    state: Path
    gallery: Path


class Demo:
    """The parts, and how they come and go.

    Args:
        say: prints a line.
        meter: is told how far it is.
    """

    def __init__(
        self, options: DemoOptions, folders: Folders, say: Callable[[str], None], meter: Meter
    ) -> None:
        self._say = say
        self._meter = meter
        self._options = options
        self._folders = folders
        codec = options.codec or CODEC
        self._settings = ReceiveSettings(
            images="127.0.0.1:0",
            captions="127.0.0.1:0",
            state=folders.state / "receiver",
            sink_kind="none",
            mode="refine",
            late_window=LATE_WINDOW,
            decoder_processes=half_the_cores(),
            log_level="warning",
            decoder=options.decoder,
            ray_namespace=NAMESPACE,
            generator=codec,
        )
        #: Posts that have left the page, with files still there.
        self._gone: deque[Post] = deque()
        keep = None if options.headless else KEEP
        self._timeline = Timeline(keep, self._origin, self._forget)
        self._newsroom = Newsroom(
            partial(feed_items, options.feed, options.limit),
            repeat=not options.headless,
            gallery=folders.gallery,
            controls=options.controls,
            seed=options.seed,
            changed=self._timeline.wake,
            pending=lambda: self.viewer.pending,
            most_pending=2 + 2 * self._settings.decoder_processes,
            told=system(codec).text.at_encoder,
        )
        self._codec = codec
        self._quality = options.quality
        if options.quality is None and system(codec).stream == system(CODEC).stream:
            self._quality = QUALITY
        self._lab = Lab(codec)
        self._pool = pool_of(self._settings)
        #: Of the page for visitors' own pictures; it starts nothing before somebody opens that.
        self._studio = Studio(folders.state / "uploads", None, half_the_cores())
        self.viewer = Viewer(
            STREAM,
            folders.gallery,
            self._settings.state / "ledger.sqlite",
            self._timeline,
            self._newsroom,
            self._lab,
            self._pool,
        )
        self._stop = asyncio.Event()
        self._ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()

    def _origin(self, seq: int) -> Origin | None:
        return self._newsroom.origin(seq)

    def _forget(self, post: Post) -> None:
        """Delete the pictures of what has left the page, when no page can be loading them any more."""
        self._gone.append(post)
        if len(self._gone) <= KEEP:
            return
        post = self._gone.popleft()
        self._newsroom.forget(post.number)
        gallery = self._folders.gallery
        for shown in filter(None, (post.preview, post.first, post.refined)):
            (gallery / shown.picture).unlink(missing_ok=True)
        for folder in ("overlays", "rivals"):
            for file in (gallery / folder).glob(f"{post.id}.*"):
                file.unlink(missing_ok=True)

    async def run(self) -> Summary:
        """Run until the feed is over; for ever where it is repeated.

        Raises:
            SidewireError: a part cannot work; the message says which.
        """
        try:
            async with asyncio.TaskGroup() as group:
                return await self._run(group)
        except* SidewireError as errors:
            raise first_of(errors) from None

    async def _run(self, group: asyncio.TaskGroup) -> Summary:
        receiving = group.create_task(
            receive(
                self._settings,
                self._stop,
                self._ready.set_result,
                pool=self._pool,
                sink=GallerySink(Staging(self._folders.gallery)),
                observer=self._observer(),
            )
        )
        watching = group.create_task(self.viewer.run(comparing=not self._options.headless))
        sweeping = group.create_task(self._studio.run())
        server = starting = None
        try:
            if not self._options.headless:
                server = WebServer(create_app(self.viewer, self._studio))
                page = listen(self._options.port)
                group.create_task(server.serve(sockets=[page]))
                self._say(
                    f"The page is at http://{HOST}:{page.getsockname()[1]}/ - Ctrl-C ends it."
                )
            starting = group.create_task(self._start_lab())
            await self._replay(await self._ready)
            return await self._finish()
        finally:
            watching.cancel()
            self._timeline.close()
            sweeping.cancel()
            if server is not None:
                server.should_exit = True
            self._stop.set()
            await asyncio.wait([receiving])
            if starting is not None:
                starting.cancel()  # or the end of a lab that still starts would be the demo's error
            await self._lab.stop()
            await self._studio.close()

    def _observer(self) -> Observer:
        watching = [self._timeline, FramesEnded(self._meter)]
        if self._settings.decoder == "ray":
            watching.append(GatewayMetrics(STREAM))
        return Observers(*watching)

    async def _start_lab(self) -> None:
        self.viewer.abilities = await self._lab.start()
        self._timeline.wake()

    async def _replay(self, addresses: Addresses) -> None:
        """The senders, from their start until each has said that all it had has ended."""
        options, processes = self._options, half_the_cores()
        state = self._folders.state
        async with (
            running(addresses, state, self._codec, self._quality, processes) as senders,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(senders.finish())
            await senders.attached()
            if options.headless:
                self._meter.begin("replaying", count_items(options.feed, options.limit))
            self.viewer.enter("running")
            await self._newsroom.replay(senders.pictures, senders.previews, senders.captions)
        self.viewer.enter("over")

    async def _compare(self) -> None:
        """Hold the newest posts against formats of the day, as many as there is time for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(COMPARE_SECONDS):
                for post in filter(comparable, reversed(self._timeline.posts)):
                    await self.viewer.comparer.finish(post.id)

    async def _finish(self) -> Summary:
        """Measure what was not measured yet, and write the report."""
        await self.viewer.measured()
        summary = summarise(self.viewer)
        if self._options.report is not None:
            posts = self._timeline.posts
            self._meter.begin("drawing the report", len(posts))
            for post in posts:
                # The first in a decoder, the others in the lab.
                drawing = (self.viewer.overlays, self.viewer.unguarded, self.viewer.preview_told)
                await asyncio.gather(*(_drawn(draw, post) for draw in drawing))
                self._meter.advance()
            await self._compare()
            write_report(self._folders.gallery, self.viewer, summary)
        if summary.lost:
            raise SidewireError(f"{summary.lost} pictures have no end: please report this")
        return summary


async def _drawn(draw: Callable[[str], Awaitable[object]], post: Post) -> None:
    """What cannot be drawn is missing on the page."""
    with suppress(SidewireError):
        await draw(post.id)


def pool_of(settings: ReceiveSettings) -> DecoderPool:
    """The decoders, on Ray or not."""
    if settings.decoder == "ray":
        return ray_pool(settings)
    return make_pool(settings)


def half_the_cores() -> int:
    """How many processes each end has, as both are on this machine."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


async def _run(
    options: DemoOptions, folders: Folders, say: Callable[[str], None], meter: Meter
) -> Summary:
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    return await Demo(options, folders, say, meter).run()


def run_demo(options: DemoOptions, say: Callable[[str], None], meter: Meter) -> Summary | None:
    """The command.

    Args:
        say: prints a line.
        meter: is told how far a headless run is.

    Returns:
        None where it was stopped.

    Raises:
        UnknownCodecError: no such codec.
        SidewireError: the feed or the report's folder cannot be used, or a part cannot work.
    """
    logging.basicConfig(format="sidewire: %(message)s", level=logging.WARNING)
    system(options.codec or CODEC)  # before anything is started
    if next(feed_items(options.feed, 1, 0), None) is None:
        raise FeedError(f"{options.feed} holds no picture")
    with tempfile.TemporaryDirectory(prefix="sidewire-demo-") as folder:
        state = Path(folder)
        gallery = options.report or state / "gallery"
        try:
            gallery.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SidewireError(f"cannot write a report to {gallery}: {error.strerror}") from None
        meter.say("starting the receiver, its decoders and the senders")
        ray = connected("", NAMESPACE) if options.decoder == "ray" else nullcontext()
        try:
            with suppress(KeyboardInterrupt, asyncio.CancelledError), ray:
                return asyncio.run(_run(options, Folders(state, gallery), say, meter))
        finally:
            shutil.rmtree(gallery / ".staging", ignore_errors=True)
    return None
