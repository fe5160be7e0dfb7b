"""How many frames and captions ended, and how: of each stream, since the receiver started."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping

from receiver.observer import Observer
from receiver.work import End
from shared.wire.v1.types_pb2 import Disposition

__all__ = ["Tallies", "Tally", "disposition_name"]

#: Rates are over so many seconds, counted in slots of so many.
RATE_SECONDS, SLOT_SECONDS = 60.0, 5.0


def disposition_name(disposition: Disposition) -> str:
    """As people and metrics have it, such as ``decoded_with_text``."""
    return Disposition.Name(disposition).removeprefix("DISPOSITION_").lower()


class Rate:
    """Events a second over the last minute, or since the first one where that is less."""

    def __init__(self) -> None:
        #: (when the slot began, events in it).
        self._slots: deque[tuple[float, int]] = deque()

    def add(self, now: float) -> None:
        """One more event."""
        if self._slots and now - self._slots[-1][0] < SLOT_SECONDS:
            began, count = self._slots.pop()
            self._slots.append((began, count + 1))
        else:
            self._slots.append((now, 1))
        self._forget(now)

    def value(self, now: float) -> float:
        """Events a second."""
        self._forget(now)
        if not self._slots:
            return 0.0
        span = max(SLOT_SECONDS, now - self._slots[0][0])
        return sum(count for _, count in self._slots) / min(span, RATE_SECONDS)

    def _forget(self, now: float) -> None:
        while self._slots and now - self._slots[0][0] >= RATE_SECONDS:
            self._slots.popleft()


class Tally:
    """The ends of one stream, or of all."""

    def __init__(self) -> None:
        self.frames: Counter[Disposition] = Counter()
        self.captions: Counter[Disposition] = Counter()
        self.frame_rate = Rate()
        self.caption_rate = Rate()

    def add(self, end: End, now: float) -> None:
        """Count an end: of a frame, of a caption, or of both."""
        if end.frame_ended:
            self.frames[end.disposition] += 1
            self.frame_rate.add(now)
        if end.caption_ended:
            self.captions[end.disposition] += 1
            self.caption_rate.add(now)


class Tallies(Observer):
    """A tally of each stream and one of all. There are as many as the registry knows streams.

    Args:
        now: a clock in seconds that never goes back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.began = now()
        self.all = Tally()
        self._streams: dict[str, Tally] = {}

    @property
    def streams(self) -> Mapping[str, Tally]:
        """Of those streams of which something has ended."""
        return self._streams

    def ended(self, end: End) -> None:
        """See :class:`Observer`."""
        now = self.now()
        self.all.add(end, now)
        stream = self._streams.get(end.key.stream_id)
        if stream is None:
            stream = self._streams[end.key.stream_id] = Tally()
        stream.add(end, now)
