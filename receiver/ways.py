"""A decode's way through a receiver, in times: when it came, waited, was decoded, and became durable."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from receiver.observer import Observer
from receiver.work import Caption, DecodeTask, End, Frame, Key

__all__ = ["Way", "Ways"]

#: Ways that are remembered. Those of an epoch that was fenced never end; the oldest are forgotten.
MOST_WAYS = 1 << 15


@dataclass(slots=True)
class Way:
    """Times in seconds of the receiver's clock (:func:`time.monotonic`); None for what did not happen.

    Attributes:
        caption: the words that it was to be decoded with.
        waiting: it began to wait for a decoder, its words being there or given up.
        decoding: a decoder has it.
        decoded: the decoder's answer is there.
        durable: its end is in the ledger.
    """

    frame: Frame
    caption: Caption | None
    waiting: float
    decoding: float | None = None
    decoded: float | None = None
    durable: float = 0.0

    @property
    def arrived(self) -> float | None:
        """The frame came; None where a late caption brought it back."""
        return self.frame.arrived_at

    @property
    def revision(self) -> int:
        """Of the caption; 0 without one."""
        return self.caption.revision if self.caption else 0


class Ways(Observer):
    """Follows decodes, and tells of each that has ended.

    Args:
        told: each is called with an end and the way that led to it.
    """

    def __init__(self, *told: Callable[[End, Way], None]) -> None:
        self._told = told
        #: A frame is decoded once at a time.
        self._ways: OrderedDict[Key, Way] = OrderedDict()

    def waiting(self, task: DecodeTask) -> None:
        """See :class:`Observer`."""
        self._ways[task.frame.key] = Way(task.frame, task.caption, time.monotonic())
        if len(self._ways) > MOST_WAYS:
            self._ways.popitem(last=False)

    def decoding(self, tasks: Sequence[DecodeTask]) -> None:
        """See :class:`Observer`."""
        now = time.monotonic()
        for way in self._of(tasks):
            way.decoding = now

    def decoded(self, tasks: Sequence[DecodeTask]) -> None:
        """See :class:`Observer`."""
        now = time.monotonic()
        for way in self._of(tasks):
            way.decoded = now

    def _of(self, tasks: Sequence[DecodeTask]) -> list[Way]:
        found = (self._ways.get(task.frame.key) for task in tasks)
        return [way for way in found if way is not None]

    def ended(self, end: End) -> None:
        """See :class:`Observer`. What needed no decoder has no way, and nobody is told."""
        way = self._ways.get(end.key)
        own = way is not None and way.revision == end.revision
        if way is None or not (own or end.frame_ended):
            return
        if own:  # else its caption's end follows
            del self._ways[end.key]
        way.durable = time.monotonic()
        for tell in self._told:
            tell(end, way)
