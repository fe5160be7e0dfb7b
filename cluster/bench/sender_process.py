"""What runs in the processes of a load: one that sends pictures, one that publishes their captions.

Both are built before the clock starts and begin at the same moment. All times are by the monotonic clock
of the machine that they run on, which its processes share. Where the gateway is on another, whoever asks
translates them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from cluster.bench.load import LoadGenerator, SentFrame
from sender.captions import run_captions
from sender.encoders import Encoders
from sender.journal import Journal
from sender.send import make_encoders
from sender.sender import Sender
from sender.settings import CaptionSettings, SendSettings
from shared.errors import SidewireError
from shared.workers import WorkerProcess

__all__ = ["CaptionPlan", "PublisherProcess", "SendPlan", "SendReport", "SenderProcess", "Timed"]
__all__ += ["build_publisher", "build_publisher_at", "build_sender", "build_sender_at"]


@runtime_checkable
class Timed(Protocol):
    """What holds moments by a monotonic clock."""

    def moved(self, seconds: float) -> Self:
        """The same with all moments so much later: by a clock that shows so much more."""


@dataclass(frozen=True, slots=True)
class SendPlan:
    """One round; see :class:`LoadGenerator` for the rest.

    Attributes:
        stream: a new one.
        passes: how often the feed is sent.
    """

    stream: str
    passes: int
    start_at: float
    times: Sequence[float] | None
    under_way: int

    def moved(self, seconds: float) -> Self:
        """See :class:`Timed`."""
        return replace(self, start_at=self.start_at + seconds)


@dataclass(frozen=True, slots=True)
class SendReport:
    """What a sender did in a round.

    Attributes:
        failed: one line for each picture whose number was taken by another.
        resent: messages beyond one a frame.
        stalls: seconds of each time in which only credit was missing.
    """

    frames: Sequence[SentFrame]
    failed: Sequence[str]
    resent: int
    connections: int
    stalls: Sequence[float]

    def moved(self, seconds: float) -> Self:
        """See :class:`Timed`."""

        def later(moment: float | None) -> float | None:
            return None if moment is None else moment + seconds

        frames = [
            replace(
                frame,
                due=frame.due + seconds,
                encoding=later(frame.encoding),
                encoded=later(frame.encoded),
                sent=later(frame.sent),
                ended=later(frame.ended),
            )
            for frame in self.frames
        ]
        return replace(self, frames=frames)


@dataclass(frozen=True, slots=True)
class CaptionPlan:
    """One round of a publisher.

    Attributes:
        times: of the pictures, as in :class:`SendPlan`; the settings' delay comes on top.
    """

    settings: CaptionSettings
    start_at: float
    times: Sequence[float] | None

    def moved(self, seconds: float) -> Self:
        """See :class:`Timed`."""
        return replace(self, start_at=self.start_at + seconds)


SenderProcess = WorkerProcess[bytes, SendPlan, SendReport | SidewireError]
PublisherProcess = WorkerProcess[None, CaptionPlan, Counter[str] | SidewireError]


def build_sender(
    settings: SendSettings,
) -> tuple[bytes, Callable[[SendPlan], SendReport | SidewireError]]:
    """The serialised :class:`CodecId` of what it sends (empty if not known), and what runs a plan.

    Its encoders live as long as the process, so that no round waits for them.

    Raises:
        SidewireError: the codec, its quality or its bundle is wrong.
    """
    logging.basicConfig(format="sidewire: %(message)s", level=logging.ERROR)
    runner = asyncio.Runner()
    encoders = make_encoders(settings)
    runner.run(encoders.start())

    def answer(plan: SendPlan) -> SendReport | SidewireError:
        try:
            return runner.run(_send(settings, encoders, plan))
        except SidewireError as error:
            return error

    codec = encoders.codec_id
    return b"" if codec is None else codec.SerializeToString(), answer


def build_sender_at(
    settings: SendSettings, feed: Path
) -> tuple[bytes, Callable[[SendPlan], SendReport | SidewireError]]:
    """Do as :func:`build_sender`, on a machine where the feed lies elsewhere; journals go beside it."""
    moved = {"feed": str(feed), "state": feed.parent / "state"}
    return build_sender(settings.model_copy(update=moved))


async def _send(settings: SendSettings, encoders: Encoders, plan: SendPlan) -> SendReport:
    folder = settings.state_folder(plan.stream) / plan.stream
    folder.mkdir(parents=True)
    journal = Journal(folder / "journal.sqlite", plan.stream)
    load = LoadGenerator(plan.start_at, plan.times, plan.under_way)
    try:
        repeated = settings.model_copy(update={"repeat": plan.passes})
        sender = Sender(repeated, journal, encoders, observer=load, pace=load.pace)
        sent = await sender.run()
        await sender.finish()
    finally:
        journal.close()
    return SendReport(load.frames, sent.failed, sent.resent, sent.connections, load.stalls)


def build_publisher() -> tuple[None, Callable[[CaptionPlan], Counter[str] | SidewireError]]:
    """What publishes one round's captions, and says how many ended how."""

    def answer(plan: CaptionPlan) -> Counter[str] | SidewireError:
        time.sleep(max(0.0, plan.start_at - time.monotonic()))
        try:
            return run_captions(plan.settings, plan.times).captions
        except SidewireError as error:
            return error

    return None, answer


def build_publisher_at(
    feed: Path,
) -> tuple[None, Callable[[CaptionPlan], Counter[str] | SidewireError]]:
    """Do as :func:`build_publisher`, on a machine where the feed lies elsewhere."""
    _, publish = build_publisher()

    def answer(plan: CaptionPlan) -> Counter[str] | SidewireError:
        settings = plan.settings.model_copy(update={"feed": str(feed)})
        return publish(replace(plan, settings=settings))

    return None, answer
