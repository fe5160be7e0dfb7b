"""What a sender has not seen acked: a state machine without clock, sockets or threads.

One window serves either channel. An item is ready, then sent, and gone once an ack names it; when a
connection is lost everything that has not ended is ready again, in order.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from shared.wire.errors import Reason, Turn, WireError
from shared.wire.positions import Positions
from shared.wire.v1 import types_pb2 as wire

__all__ = ["Ended", "Item", "SendWindow", "disposition_name"]

#: Seconds before a refused item is sent again.
RESEND_SECONDS = 0.2


class Item(Protocol):
    """Anything with a sequence number and a size in credit bytes."""

    @property
    def seq(self) -> int:
        """The item's number in the stream."""

    @property
    def size(self) -> int:
        """What it takes of the byte credit."""


AnyItem = TypeVar("AnyItem", bound=Item)


@dataclass(frozen=True, slots=True)
class Ended(Generic[AnyItem]):
    """An item that is done with, and how it ended; UNSPECIFIED where only a position says so."""

    item: AnyItem
    disposition: wire.Disposition
    reason: str = ""


def disposition_name(ended: Ended[AnyItem]) -> str:
    """The disposition's name without its prefix, such as ``DECODED_WITH_TEXT``."""
    return wire.Disposition.Name(ended.disposition).removeprefix("DISPOSITION_")


class SendWindow(Generic[AnyItem]):
    """Unacked items of one channel.

    Attributes:
        failures: (item, error) of those whose number is taken by other content.
        largest: what a receiver takes at most; a larger item goes out as a word without it.
    """

    def __init__(self) -> None:
        self._unacked: dict[int, AnyItem] = {}
        self._ready: deque[int] = deque()
        self._later: list[tuple[float, int]] = []
        self._credit = (0, 0)
        self._sent = (0, 0)
        self._exhausted = False
        self.bytes = 0
        self.largest: int | None = None
        self.failures: list[tuple[AnyItem, WireError]] = []

    def __len__(self) -> int:
        """Items that have not ended."""
        return len(self._unacked)

    def add(self, item: AnyItem) -> None:
        """Something new to send."""
        self._unacked[item.seq] = item
        self._ready.append(item.seq)
        self.bytes += item.size

    def exhaust(self) -> None:
        """Nothing new will be added."""
        self._exhausted = True

    @property
    def finished(self) -> bool:
        """Everything there ever was has ended."""
        return self._exhausted and not self._unacked

    def attached(self, attached: wire.Attached) -> list[Ended[AnyItem]]:
        """A connection begins: forget what has ended, make the rest ready in order."""
        self._sent = (0, 0)
        self.credit(attached.credit)
        ended = self._forget_positions(Positions.from_message(attached.positions))
        self._later.clear()
        self._ready = deque(sorted(self._unacked))
        return ended

    def credit(self, credit: wire.Credit) -> None:
        """Take note that more may be sent."""
        self._credit = (credit.frames, credit.bytes)

    def ack(self, ack: wire.Ack) -> list[Ended[AnyItem]]:
        """Ends that are durable at the receiver."""
        ended = [
            Ended(item, outcome.disposition, outcome.reason)
            for outcome in ack.outcomes
            if (item := self._drop(outcome.seq)) is not None
        ]
        # Outcomes name every end of this connection; positions cover a receiver that leaves some out.
        positions = Positions.from_message(ack.positions)
        while self._unacked and (oldest := next(iter(self._unacked))) in positions:
            ended.append(Ended(self._unacked[oldest], wire.DISPOSITION_UNSPECIFIED))
            self._drop(oldest)
        return ended

    def refusal(self, seq: int, error: WireError, now: float) -> AnyItem | None:
        """One item was refused; the item if it has no end to wait for.

        Where the receiver gives an item up, it says so durably: the item is kept until that ack.
        """
        if seq not in self._unacked:
            return None
        if error.reason is Reason.CONTENT_CHANGED:  # the number is another's, and so is its end
            item = self._drop(seq)
            if item is not None:
                self.failures.append((item, error))
            return item
        if error.reason.turn is not Turn.GIVE_UP:
            heapq.heappush(self._later, (now + RESEND_SECONDS, seq))
        return None

    def next(self, now: float) -> AnyItem | None:
        """What to send now, counted as sent; None where there is nothing or no credit."""
        while self._later and self._later[0][0] <= now:
            self._ready.appendleft(heapq.heappop(self._later)[1])
        while self._ready and self._ready[0] not in self._unacked:
            self._ready.popleft()
        if not self._ready:
            return None
        item = self._unacked[self._ready[0]]
        fits = self.largest is None or item.size <= self.largest
        sent = (self._sent[0] + 1, self._sent[1] + item.size * fits)
        if sent[0] > self._credit[0] or sent[1] > self._credit[1]:
            return None
        self._ready.popleft()
        self._sent = sent
        return item

    @property
    def starved(self) -> bool:
        """Something is ready; after :meth:`next` gave nothing, only credit is missing."""
        return bool(self._ready)

    def lowest(self) -> int | None:
        """The lowest number that has not ended; None where all have."""
        return min(self._unacked, default=None)

    def retry_at(self) -> float | None:
        """When a refused item may be sent again."""
        return self._later[0][0] if self._later else None

    def _forget_positions(self, positions: Positions) -> list[Ended[AnyItem]]:
        over: Iterable[int] = [seq for seq in self._unacked if seq in positions]
        return [
            Ended(item, wire.DISPOSITION_UNSPECIFIED)
            for seq in over
            if (item := self._drop(seq)) is not None
        ]

    def _drop(self, seq: int) -> AnyItem | None:
        item = self._unacked.pop(seq, None)
        if item is not None:
            self.bytes -= item.size
        return item
