"""How many a second there really are: a count that rises, looked at now and then."""

from __future__ import annotations

from collections import deque

__all__ = ["Pace"]

#: Seconds that are looked back.
WINDOW = 20.0


class Pace:
    """The rate of a count over the last :data:`WINDOW` seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, count: int, now: float) -> None:
        """It is ``count`` now, in seconds of any clock that never goes back."""
        if not self._seen or count != self._seen[-1][1]:
            self._seen.append((now, count))
        while len(self._seen) > 1 and self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()

    def rate(self, now: float) -> float | None:
        """How many a second came; None before the second one."""
        if len(self._seen) < 2:
            return None
        since, count = self._seen[0]
        return (self._seen[-1][1] - count) / max(now - since, 1e-3)
