"""The load generator inside a sender: hands pictures over when they are due, notes what happens to each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sender.observer import SendObserver
from sender.sources import SourcePicture

__all__ = ["LoadGenerator", "SentFrame"]


@dataclass(slots=True)
class SentFrame:
    """What became of one picture, as its sender saw it; times by the machine's monotonic clock.

    Attributes:
        due: when it was meant to be sent. In a closed loop: when its turn came.
        lag: seconds by which the generator itself was late, through the feed or the scheduler; a sender
            that had no room does not count.
        bytes: of its container; 0 where it could not be encoded.
        sent: its first way to gRPC.
        disposition: empty until it has ended.
    """

    seq: int
    due: float
    lag: float
    encoding: float | None = None
    encoded: float | None = None
    bytes: int = 0
    sent: float | None = None
    ended: float | None = None
    disposition: str = ""


class LoadGenerator(SendObserver):
    """One run of one sender.

    Args:
        start_at: by the monotonic clock.
        times: intended times in seconds from the start, one a picture; None in a closed loop.
        under_way: pictures at once in a closed loop.
    """

    def __init__(self, start_at: float, times: Sequence[float] | None, under_way: int) -> None:
        self._start_at = start_at
        self._times = times
        self._turns = threading.Semaphore(under_way)
        self._frames: dict[int, SentFrame] = {}
        #: Times in which frames were ready and only credit was missing.
        self.stalls: list[float] = []

    @property
    def frames(self) -> list[SentFrame]:
        """All that were handed over, in their order."""
        return list(self._frames.values())

    def pace(self, pictures: Iterator[SourcePicture]) -> Iterator[SourcePicture]:
        """The pictures, each when it is due. It waits in the thread that reads the feed."""
        asked = self._start_at
        for picture in pictures:
            due = self._wait_until_due(picture.seq)
            lag = time.monotonic() - max(due, asked)
            self._frames[picture.seq] = SentFrame(picture.seq, due, lag)
            yield picture
            asked = time.monotonic()

    def _wait_until_due(self, seq: int) -> float:
        _sleep_until(self._start_at)
        if self._times is None:
            self._turns.acquire()
            return time.monotonic()
        due = self._start_at + self._times[seq]
        _sleep_until(due)
        return due

    def encoding(self, seq: int) -> None:
        """See :class:`SendObserver`."""
        self._frames[seq].encoding = time.monotonic()

    def encoded(self, seq: int, size: int) -> None:
        """See :class:`SendObserver`."""
        self._frames[seq].encoded = time.monotonic()
        self._frames[seq].bytes = size

    def sent(self, seq: int) -> None:
        """See :class:`SendObserver`."""
        frame = self._frames[seq]
        if frame.sent is None:
            frame.sent = time.monotonic()

    def stalled(self, seconds: float) -> None:
        """See :class:`SendObserver`."""
        self.stalls.append(seconds)

    def ended(self, seq: int, disposition: str) -> None:
        """See :class:`SendObserver`."""
        frame = self._frames[seq]
        frame.ended, frame.disposition = time.monotonic(), disposition
        self._turns.release()


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
