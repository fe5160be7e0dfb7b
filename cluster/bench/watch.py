"""What the gateway sees of each frame: when it came, was joined, went to a decoder and came back."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from receiver.observer import Observer
from receiver.work import DecodeTask, End

__all__ = ["GatewayWatch", "SeenFrame"]


@dataclass(slots=True)
class SeenFrame:
    """A frame's first decode; times by the machine's monotonic clock.

    Attributes:
        arrived: None for one that a late caption has brought back.
        committed: when its end was in the ledger.
        batch: pictures that were decoded with it, itself too; 0 before.
    """

    arrived: float | None
    joined: float
    decoding: float | None = None
    decoded: float | None = None
    committed: float | None = None
    batch: int = 0


class GatewayWatch(Observer):
    """All streams, until they are taken."""

    def __init__(self) -> None:
        self._streams: defaultdict[str, dict[int, SeenFrame]] = defaultdict(dict)

    def take(self, stream: str) -> Mapping[int, SeenFrame]:
        """A stream's frames by number; they are forgotten here."""
        return self._streams.pop(stream, {})

    def waiting(self, task: DecodeTask) -> None:
        """See :class:`Observer`."""
        frames = self._streams[task.frame.key.stream_id]
        frames.setdefault(
            task.frame.key.seq, SeenFrame(task.frame.arrived_at, joined=time.monotonic())
        )

    def decoding(self, tasks: Sequence[DecodeTask]) -> None:
        """See :class:`Observer`."""
        now = time.monotonic()
        for frame in self._of(tasks):
            if frame.decoding is None:
                frame.decoding, frame.batch = now, len(tasks)

    def decoded(self, tasks: Sequence[DecodeTask]) -> None:
        """See :class:`Observer`."""
        now = time.monotonic()
        for frame in self._of(tasks):
            if frame.decoded is None:
                frame.decoded = now

    def ended(self, end: End) -> None:
        """See :class:`Observer`."""
        frame = self._streams.get(end.key.stream_id, {}).get(end.key.seq)
        if frame is not None and end.frame_ended:
            frame.committed = time.monotonic()

    def _of(self, tasks: Sequence[DecodeTask]) -> list[SeenFrame]:
        """Those that were not taken meanwhile: late captions may still be at work on them."""
        keys = [task.frame.key for task in tasks]
        found = [self._streams.get(key.stream_id, {}).get(key.seq) for key in keys]
        return [frame for frame in found if frame is not None]
