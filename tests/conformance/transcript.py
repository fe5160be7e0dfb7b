"""What a sender under test did in its whole run, as the scripted receiver saw it. Data alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.wire.errors import Reason
from shared.wire.limits import Limits
from shared.wire.v1 import caption_channel_pb2, control_pb2, image_channel_pb2
from shared.wire.v1 import types_pb2 as wire

__all__ = ["LIMITS", "Arrival", "Connection", "Mark", "Opening", "Payload", "Run", "Side"]

#: What the scripted receiver says that it takes.
LIMITS = Limits()

Payload = (
    image_channel_pb2.ImageFrame | image_channel_pb2.SkippedFrame | caption_channel_pb2.Caption
)
#: seq, and the revision of a caption (0 for a picture).
Mark = tuple[int, int]


@dataclass(frozen=True)
class Arrival:
    """One message after the attach.

    Attributes:
        message: None for a request without one, or with another attach.
        used, granted: since the attach, as it was read; ``used`` with this one.
    """

    message: Payload | None
    used: wire.Credit
    granted: wire.Credit

    @property
    def mark(self) -> Mark:
        """What it is one sending of."""
        if self.message is None:
            return -1, 0
        return self.message.seq, getattr(self.message, "revision", 0)


@dataclass(frozen=True)
class Opening:
    """One OpenSession: where it was asked, and what came of it."""

    address: str
    request: control_pb2.OpenSessionRequest
    answer: control_pb2.OpenSessionResponse | None = None
    refused: Reason | None = None


@dataclass
class Connection:
    """One call of a channel.

    Attributes:
        act: what the script did to it, see :mod:`tests.conformance.script`.
        first: the name of its first request's field.
        attach: what that held.
        session: the newest session that the sender had been given.
        ended_before: whose end attached has told.
        arrivals: in order.
        refused: what was refused for a resend.
        acked: what acks of this call named.
        claimed: what only its damaged ack named.
    """

    act: str
    first: str
    attach: wire.Attach
    session: control_pb2.OpenSessionResponse | None
    ended_before: frozenset[Mark] = frozenset()
    arrivals: list[Arrival] = field(default_factory=list)
    refused: list[Mark] = field(default_factory=list)
    acked: set[Mark] = field(default_factory=set)
    claimed: set[Mark] = field(default_factory=set)


@dataclass
class Side:
    """One channel."""

    channel: wire.Channel
    openings: list[Opening] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    closings: list[control_pb2.CloseSessionRequest] = field(default_factory=list)
    ended: set[Mark] = field(default_factory=set)

    @property
    def name(self) -> str:
        """A name for people."""
        return "pictures" if self.channel == wire.CHANNEL_IMAGES else "captions"

    @property
    def arrivals(self) -> list[tuple[Connection, Arrival]]:
        """The arrivals of all connections, in order."""
        return [(one, arrival) for one in self.connections for arrival in one.arrivals]


@dataclass(frozen=True)
class Run:
    """The sender's whole run.

    Attributes:
        sides: the channels that its command named.
        exit_code: None if it had to be stopped.
        last_words: the end of its standard error.
    """

    sides: list[Side]
    exit_code: int | None
    last_words: str
