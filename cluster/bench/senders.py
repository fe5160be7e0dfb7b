"""A load: N senders, and a caption publisher beside each where captions are sent."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cluster.bench.arrivals import ClosedLoop, OpenLoop, intended_times
from cluster.bench.feed import BenchFeed
from cluster.bench.options import BenchOptions
from cluster.bench.sender_process import CaptionPlan, SendPlan, SendReport
from cluster.bench.usage import Roles, Usage, by_role, measured_usage
from cluster.bench.workplace import Worker, Workplace
from receiver.serve import Addresses
from sender.settings import SendSettings
from shared.errors import SidewireError
from shared.wire.v1.types_pb2 import CodecId

__all__ = ["LoadSenders", "Round"]

#: Seconds that senders have to attach before the clock starts.
LEAD_SECONDS = 1.0
#: Pictures that a sender of an open loop encodes ahead of the wire.
AHEAD = 32

ReadyT = TypeVar("ReadyT")
RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Round:
    """What every sender has sent, beginning at the same time.

    Attributes:
        start: by the monotonic clock.
        streams, reports: of each sender.
        captions: how many ended how.
    """

    start: float
    streams: Sequence[str]
    reports: Sequence[SendReport]
    captions: Counter[str]
    usage: Usage


class LoadSenders:
    """Started once, and told for each round when to begin.

    Args:
        workplace: where they run.
        folder: of the journals of those on this machine.
    """

    def __init__(
        self,
        options: BenchOptions,
        workplace: Workplace,
        feed: BenchFeed,
        addresses: Addresses,
        folder: Path,
    ) -> None:
        captions, load = options.caption_load, options.arrivals
        self._options = options
        self._workplace = workplace
        self._feed = feed
        self._settings = SendSettings(
            feed=str(feed.path),
            images=addresses.images,
            captions=addresses.captions if captions else None,
            state=folder,
            codec=options.codec,
            quality=options.quality,
            processes=options.encoders or max(1, workplace.cores // options.senders),
            ahead=AHEAD if isinstance(load, OpenLoop) else load.under_way,
            caption_delay=captions.delay if captions else 0.0,
            caption_drop=captions.loss if captions else 0.0,
            caption_seed=options.seed,
        )
        numbers = range(options.senders)
        self._senders = [workplace.sender(number, self._settings) for number in numbers]
        self._publishers = [workplace.publisher(number) for number in (numbers if captions else ())]

    async def start(self) -> dict[str, str]:
        """Start all of them, with their encoders; the model's id by the codec that is sent.

        Raises:
            SidewireError: the codec, its quality or its bundle is wrong.
        """
        told, _ = await asyncio.gather(
            asyncio.gather(*(worker.start() for worker in self._senders)),
            asyncio.gather(*(worker.start() for worker in self._publishers)),
        )
        codec = CodecId.FromString(told[0])
        return {codec.name: codec.model_id.hex()} if codec.name else {}

    async def stop(self) -> None:
        """End all of them."""
        await asyncio.gather(
            *(worker.stop() for worker in self._senders),
            *(worker.stop() for worker in self._publishers),
        )

    async def round(self, name: str, passes: int, idle: Sequence[int]) -> Round:
        """Send the feed so many times, in new streams.

        Args:
            name: another than before.
            idle: processes of this one that have no part in it.

        Raises:
            SidewireError: a sender or publisher cannot go on.
        """
        streams = [f"bench-{name}-{sender}" for sender in range(self._options.senders)]
        await self._workplace.settle()
        start = time.monotonic() + LEAD_SECONDS
        async with asyncio.TaskGroup() as group:
            sending = [
                group.create_task(
                    _asked(worker, self._send_plan(sender, streams[sender], passes, start))
                )
                for sender, worker in enumerate(self._senders)
            ]
            publishing = [
                group.create_task(
                    _asked(worker, self._caption_plan(sender, streams[sender], passes, start))
                )
                for sender, worker in enumerate(self._publishers)
            ]
            await asyncio.sleep(start - time.monotonic())
            async with measured_usage(lambda: self._roles(idle)) as usage:
                await asyncio.wait(sending)
        captions: Counter[str] = sum((task.result() for task in publishing), Counter())
        return Round(start, streams, [task.result() for task in sending], captions, usage)

    def _times(self, sender: int, passes: int) -> Sequence[float] | None:
        """When each picture of a round is due; None in a closed loop."""
        load, frames = self._options.arrivals, passes * len(self._feed.pixels)
        if isinstance(load, OpenLoop):
            return intended_times(load, frames, sender, self._options.senders)
        return None

    def _send_plan(self, sender: int, stream: str, passes: int, start: float) -> SendPlan:
        load = self._options.arrivals
        frames = passes * len(self._feed.pixels)
        at_once = load.under_way if isinstance(load, ClosedLoop) else frames
        return SendPlan(stream, passes, start, self._times(sender, passes), at_once)

    def _caption_plan(self, sender: int, stream: str, passes: int, start: float) -> CaptionPlan:
        settings = self._settings.caption_settings(stream).model_copy(update={"repeat": passes})
        return CaptionPlan(settings, start, self._times(sender, passes))

    def _roles(self, idle: Sequence[int]) -> Roles:
        senders = [worker.pid for worker in self._senders if worker.pid]
        publishers = [worker.pid for worker in self._publishers if worker.pid]
        return by_role(senders, publishers, idle)


async def _asked(
    worker: Worker[ReadyT, RequestT, AnswerT | SidewireError], request: RequestT
) -> AnswerT:
    answer = await worker.ask(request)
    if isinstance(answer, SidewireError):
        raise answer
    return answer
