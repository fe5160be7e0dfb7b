"""Another machine's clock, told from here by asking it for the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

__all__ = ["ClockOffset", "RoundTrip"]


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A question for the time: what another clock showed between two moments of this one, in seconds."""

    before: float
    there: float
    after: float


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """What another clock shows beyond this one.

    Attributes:
        seconds: to add to a moment here for the same moment there.
        uncertainty: seconds by which that is wrong, at most, as long as both run equally fast.
    """

    seconds: float
    uncertainty: float

    @classmethod
    def of(cls, trips: Sequence[RoundTrip]) -> Self:
        """The offset by the quickest trip, as NTP does: its ways there and back can differ least."""
        best = min(trips, key=lambda trip: trip.after - trip.before)
        return cls(
            best.there - (best.before + best.after) / 2,
            (best.after - best.before) / 2,
        )
