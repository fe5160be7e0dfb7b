"""What a receiver turned away, by kind: a line for the first of each, then one a minute with the count.

A flood of bad connections makes no flood of lines.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from receiver.observer import Observer
from shared.wire.errors import Reason, WireError

__all__ = ["Kind", "Refusal", "RefusalLog", "Scope"]

log = logging.getLogger("sidewire.receiver")

#: Seconds in which a kind of refusal makes at most one line.
QUIET_SECONDS = 60.0
#: Of a refusal's own words, which may quote a client's.
MOST_SHOWN = 300


class Kind(enum.Enum):
    """What was wrong, as an operator would set about it."""

    TLS = "TLS"
    CERTIFICATE = "certificate"
    TOKEN = "token"
    OWNER = "owner"
    LIMITS = "limits"
    MODEL = "model"
    DAMAGE = "damage"
    PROTOCOL = "protocol"
    #: What every stop, restart and second client brings with it; counted, never a line.
    ORDER = "order"


class Scope(enum.Enum):
    """What was turned away."""

    CONNECTION = "connection"
    CALL = "call"
    MESSAGE = "message"


KINDS = {
    Reason.UNAUTHENTICATED: Kind.TOKEN,
    Reason.NOT_YOURS: Kind.OWNER,
    Reason.TOO_LARGE: Kind.LIMITS,
    Reason.OVER_CREDIT: Kind.LIMITS,
    Reason.OVER_QUOTA: Kind.LIMITS,
    Reason.SEQ_TOO_FAR: Kind.LIMITS,
    Reason.MODEL_UNKNOWN: Kind.MODEL,
    Reason.CHECKSUM: Kind.DAMAGE,
    Reason.MALFORMED: Kind.PROTOCOL,
    Reason.NOT_ATTACHED: Kind.PROTOCOL,
    Reason.CONTENT_CHANGED: Kind.PROTOCOL,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One connection, call or message that was turned away; ``why`` is one line for people."""

    kind: Kind
    scope: Scope
    why: str

    @classmethod
    def of(cls, error: WireError, scope: Scope) -> Refusal:
        """The refusal that a client hears as this error."""
        return cls(KINDS.get(error.reason, Kind.ORDER), scope, f"{error.reason.name}: {error}")


@dataclass(slots=True)
class Count:
    """Refusals of one kind: in all, and since the newest line."""

    total: int = 0
    unsaid: int = 0
    said_at: float = 0.0
    newest: str = ""


class RefusalLog(Observer):
    """Counts refusals, and says so now and then.

    Args:
        now: a clock in seconds that never goes back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counts: dict[Kind, Count] = {}

    @property
    def total(self) -> int:
        """Refusals so far, those that are part of a day's work left out."""
        return sum(count.total for count in self._counts.values())

    def refused(self, refusal: Refusal) -> None:
        """See :class:`Observer`."""
        if refusal.kind is Kind.ORDER:
            return
        count = self._counts.setdefault(refusal.kind, Count())
        count.total += 1
        count.unsaid += 1
        count.newest = f"{refusal.scope.value}: {refusal.why[:MOST_SHOWN]}"
        if count.total == 1 or self._now() - count.said_at >= QUIET_SECONDS:
            self._say(refusal.kind, count)

    def flush(self) -> None:
        """Say what came since the newest line of its kind, where that is a while ago."""
        for kind, count in self._counts.items():
            if count.unsaid and self._now() - count.said_at >= QUIET_SECONDS:
                self._say(kind, count)

    def _say(self, kind: Kind, count: Count) -> None:
        if count.total == 1:
            log.warning("refused (%s): %s", kind.value, count.newest)
        else:
            log.warning(
                "refused (%s): %d more, %d in all, the last: %s",
                kind.value,
                count.unsaid,
                count.total,
                count.newest,
            )
        count.unsaid, count.said_at = 0, self._now()
