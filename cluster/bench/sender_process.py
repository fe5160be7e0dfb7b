"""What runs in the processes of a load: one that sends pictures, one that publishes their captions.

Both are built before the clock starts and begin at the same moment. Times are comparable between all
processes of one machine, as they share its monotonic clock; the gateway is on that machine too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.bench.load import LoadGenerator, SentFrame
from sender.captions import run_captions
from sender.encoders import Encoders
from sender.journal import Journal
from sender.send import make_encoders
from sender.sender import Sender
from sender.settings import CaptionSettings, SendSettings
from shared.errors import SidewireError
from shared.workers import WorkerProcess

__all__ = ["CaptionPlan", "PublisherProcess", "SendPlan", "SendReport", "SenderProcess"]
__all__ += ["build_publisher", "build_sender"]


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


@dataclass(frozen=True, slots=True)
class CaptionPlan:
    """One round of a publisher."""

    settings: CaptionSettings
    start_at: float


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
            return run_captions(plan.settings)
        except SidewireError as error:
            return error

    return None, answer
