"""Where the parts of a load run: as processes beside the gateway, or wherever else something answers."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from cluster.bench.sender_process import (
    CaptionPlan,
    PublisherProcess,
    SenderProcess,
    SendPlan,
    SendReport,
    build_publisher,
    build_sender,
)
from sender.settings import SendSettings
from shared.errors import SidewireError

__all__ = ["BESIDE", "ROUND_SECONDS", "LocalWorkplace", "PublisherWorker", "SenderWorker", "Spread"]
__all__ += ["Worker", "Workplace"]

#: Seconds that a round may take.
ROUND_SECONDS = 86_400.0

ReadyT_co = TypeVar("ReadyT_co", covariant=True)
RequestT_contra = TypeVar("RequestT_contra", contravariant=True)
AnswerT_co = TypeVar("AnswerT_co", covariant=True)


class Worker(Protocol[ReadyT_co, RequestT_contra, AnswerT_co]):
    """What is built once and then answers one request at a time, as :class:`WorkerProcess` does."""

    @property
    def pid(self) -> int | None:
        """The id of its process, as long as there is one that this machine's proc(5) shows."""

    async def start(self) -> ReadyT_co:
        """Build what answers; what it says of itself.

        Raises:
            SidewireError: whatever building raised, or that it cannot be started.
        """

    async def ask(self, request: RequestT_contra) -> AnswerT_co:
        """Answer one request. Where this is cancelled, the worker is ended.

        Raises:
            SidewireError: it died or took too long.
        """

    async def stop(self) -> None:
        """End it at once."""


SenderWorker = Worker[bytes, SendPlan, SendReport | SidewireError]
PublisherWorker = Worker[None, CaptionPlan, Counter[str] | SidewireError]


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the senders were from the gateway.

    Attributes:
        nodes: that senders ran on.
        clock_uncertainty: seconds by which senders' moments may be wrong against the gateway's, at most.
    """

    nodes: int = 1
    clock_uncertainty: float = 0.0


#: Of senders that are processes of the gateway's machine.
BESIDE = Spread()


class Workplace(Protocol):
    """Chosen once; what it makes is used alike, wherever it runs."""

    @property
    def host(self) -> str:
        """The gateway's address, as senders here reach it."""

    @property
    def cores(self) -> int:
        """Cores that all senders together may encode on."""

    @property
    def spread(self) -> Spread:
        """Where the senders that were started so far run."""

    def sender(self, number: int, settings: SendSettings) -> SenderWorker:
        """A load sender that is to be started."""

    def publisher(self, number: int) -> PublisherWorker:
        """The caption publisher beside the sender of this number, to be started."""

    async def settle(self) -> None:
        """Get all that it has made ready for the next round: their clocks are compared with this one's.

        Raises:
            SidewireError: one of them has died.
        """


class LocalWorkplace:
    """Processes of this machine, which share the gateway's clock."""

    host = "127.0.0.1"
    spread = BESIDE

    @property
    def cores(self) -> int:
        """See :class:`Workplace`. All of them, though decoders want them too: fewer encoders with more
        threads each only spin."""
        return len(os.sched_getaffinity(0))

    def sender(self, number: int, settings: SendSettings) -> SenderWorker:
        """See :class:`Workplace`."""
        return SenderProcess(
            f"load sender {number}", partial(build_sender, settings), ROUND_SECONDS
        )

    def publisher(self, number: int) -> PublisherWorker:
        """See :class:`Workplace`."""
        return PublisherProcess(f"caption publisher {number}", build_publisher, ROUND_SECONDS)

    async def settle(self) -> None:
        """See :class:`Workplace`. They have this clock."""
