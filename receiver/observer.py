"""Whoever watches a receiver at work: metrics, a page, a test. Watching changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from receiver.work import DecodeTask, End

if TYPE_CHECKING:
    from receiver.refusals import Refusal

__all__ = ["Observer", "Observers"]


class Observer:
    """Sees nothing; override what is to be seen. Calls come from the gateway's loop and must not block."""

    def taken(self, channel: str, size: int) -> None:
        """A message came on a channel ("images" or "captions"), of so many bytes of container or text."""

    def refused(self, refusal: Refusal) -> None:
        """A connection, a call or a message was turned away."""

    def queued(self, waiting: int) -> None:
        """So many decodes as ``waiting`` wait for a decoder now."""

    def joined(self, seconds: float) -> None:
        """A picture went to the decoders for the first time, so long after it came."""

    def waiting(self, task: DecodeTask) -> None:
        """A decode waits for a decoder from now on; its picture has waited for its words."""

    def decoding(self, tasks: Sequence[DecodeTask]) -> None:
        """A batch goes to a decoder."""

    def decoded(self, tasks: Sequence[DecodeTask]) -> None:
        """A batch has come back, whatever became of it."""

    def stored(self, ends: int, seconds: float) -> None:
        """So many ends became durable, in a transaction that took so long."""

    def ended(self, end: End) -> None:
        """A fact is in the ledger."""


class Observers(Observer):
    """Several, each of whom sees everything."""

    def __init__(self, *watching: Observer) -> None:
        self._watching = watching

    def taken(self, channel: str, size: int) -> None:
        """See :class:`Observer`."""
        for one in self._watching:
            one.taken(channel, size)

    def refused(self, refusal: Refusal) -> None:
        """See :class:`Observer`."""
        for one in self._watching:
            one.refused(refusal)

    def queued(self, waiting: int) -> None:
        """See :class:`Observer`."""
        for one in self._watching:
            one.queued(waiting)

    def joined(self, seconds: float) -> None:
        """See :class:`Observer`."""
        for one in self._watching:
            one.joined(seconds)

    def waiting(self, task: DecodeTask) -> None:
        """See :class:`Observer`."""
        for one in self._watching:
            one.waiting(task)

    def decoding(self, tasks: Sequence[DecodeTask]) -> None:
        """See :class:`Observer`."""
        for one in self._watching:
            one.decoding(tasks)

    def decoded(self, tasks: Sequence[DecodeTask]) -> None:
        """See :class:`Observer`."""
        for one in self._watching:
            one.decoded(tasks)

    def stored(self, ends: int, seconds: float) -> None:
        """See :class:`Observer`."""
        for one in self._watching:
            one.stored(ends, seconds)

    def ended(self, end: End) -> None:
        """See :class:`Observer`."""
        for one in self._watching:
            one.ended(end)
