"""Pictures meet their captions: a state machine of one stream, without clock, sockets or threads.

    frame ----> WAITING --caption, tombstone or time over--> DECODING --committed--> gone
                   ^                                           |  ^
    caption --> early (no frame yet)                           +--+ a newer caption came meanwhile

A picture whose codec reads no words does not wait for them: they end once it is decoded, and go beside it.

Every call takes the time and returns what to do: decode something, or settle an end that needs no
decoder. When a picture is first decoded depends on whether a caption is there, never on what it says.
What has ended is not remembered here (that is the ledger's): memory is what is held, and credits bound that.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from receiver.work import Caption, DecodeTask, End, Frame, caption_end, frame_end, words_beside
from shared.wire.v1 import types_pb2 as wire

__all__ = ["Action", "Decode", "JoinPolicy", "Joiner", "Settle"]


@dataclass(frozen=True, slots=True)
class JoinPolicy:
    """When a picture is decoded.

    Attributes:
        caption_wait: seconds that a frame waits for an expected caption.
        refine: decode at once without text, and again when the caption is there.
        reads: whether what decodes a container makes another picture of it with words; it may change.
    """

    caption_wait: float = 2.0
    refine: bool = False
    reads: Callable[[bytes], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Decode:
    """Give this to a decoder. ``first`` says that the frame has not ended yet."""

    task: DecodeTask
    first: bool


@dataclass(frozen=True, slots=True)
class Settle:
    """Write this end to the ledger; there is nothing to decode."""

    end: End


Action = Decode | Settle


@dataclass(slots=True)
class Slot:
    """A frame in memory.

    Attributes:
        first: its first picture is still to come.
        wait_until: while it waits for a caption; None while it is being decoded.
        current: the words of the decode under way.
        upcoming: newer words, for the decode after that.
        newest: the highest revision that has come, whatever became of it.
    """

    frame: Frame
    first: bool
    wait_until: float | None = None
    current: Caption | None = None
    upcoming: Caption | None = None
    newest: int = 0


class Joiner:
    """Joins the frames and captions of one stream and epoch."""

    def __init__(self, policy: JoinPolicy) -> None:
        self._policy = policy
        self._slots: dict[int, Slot] = {}
        self._early: dict[int, Caption] = {}
        #: (time, seq); an entry may be out of date, and is then passed over.
        self._timers: list[tuple[float, int]] = []

    def __contains__(self, seq: int) -> bool:
        """Whether this frame is in memory."""
        return seq in self._slots

    def frame_of(self, seq: int) -> Frame | None:
        """The frame in memory."""
        slot = self._slots.get(seq)
        return slot.frame if slot else None

    # What comes in

    def add_frame(self, frame: Frame, now: float) -> list[Action]:
        """A frame that is neither in memory nor ended."""
        seq = frame.key.seq
        slot = self._slots[seq] = Slot(frame, first=True)
        actions: list[Action] = []
        caption = self._early.pop(seq, None)
        if caption is not None and not _fits(caption, frame):
            actions.append(_settle(caption, wire.DISPOSITION_REJECTED, "of another picture"))
            caption = None
        slot.newest = caption.revision if caption else 0
        if caption is not None and caption.text is None:
            actions.append(_settle(caption, wire.DISPOSITION_NOTED))
            return [*actions, self._decode(slot, None)]
        if self._policy.refine or not self._policy.reads(frame.container):
            slot.upcoming = caption
            return [*actions, self._decode(slot, None)]
        if caption is not None or not frame.expects_caption:
            return [*actions, self._decode(slot, caption)]
        slot.wait_until = now + self._policy.caption_wait
        if frame.expires_at is not None:
            slot.wait_until = min(slot.wait_until, frame.expires_at)
        self._set_timer(slot.wait_until, seq)
        return actions

    def skip_frame(self, frame: Frame, reason: str) -> list[Action]:
        """The sender has no picture for this number: it ends as rejected, and its caption with it."""
        actions: list[Action] = [Settle(frame_end(frame, wire.DISPOSITION_REJECTED, reason))]
        caption = self._early.pop(frame.key.seq, None)
        if caption is not None:
            actions.append(_settle(caption, wire.DISPOSITION_REJECTED, reason))
        return actions

    def add_late(self, frame: Frame, caption: Caption) -> list[Action]:
        """A caption of a frame that has ended, whose container was kept: decode it again, if that
        makes another picture."""
        slot = self._slots.get(frame.key.seq)
        if slot is not None:  # another late caption brought the frame back a moment ago
            return self._newer(slot, caption)
        if not self._policy.reads(frame.container):
            return [_beside(frame, caption)]
        slot = self._slots[frame.key.seq] = Slot(frame, first=False, newest=caption.revision)
        return [self._decode(slot, caption)]

    def add_caption(self, caption: Caption) -> list[Action]:
        """A caption that is not in memory and has not ended, of a frame that has not ended."""
        slot = self._slots.get(caption.key.seq)
        if slot is None:
            return self._add_early(caption)
        if not _fits(caption, slot.frame):
            return [_settle(caption, wire.DISPOSITION_REJECTED, "of another picture")]
        if slot.wait_until is None:
            return self._newer(slot, caption)
        slot.wait_until = None
        slot.newest = caption.revision
        if caption.text is None:
            return [_settle(caption, wire.DISPOSITION_NOTED), self._decode(slot, None)]
        return [self._decode(slot, caption)]

    def committed(self, seq: int, decoded: bool) -> list[Action]:
        """The end of this frame's decode is durable: go on with newer words, or let it go."""
        slot = self._slots[seq]
        slot.first = False
        caption, slot.upcoming = slot.upcoming, None
        reads = self._policy.reads(slot.frame.container)
        if caption is not None and decoded and reads:
            return [self._decode(slot, caption)]
        del self._slots[seq]
        if caption is not None and decoded:
            return [_beside(slot.frame, caption)]
        if caption is not None:
            return [_settle(caption, wire.DISPOSITION_REJECTED, "its picture was not decoded")]
        return []

    # Time

    def next_deadline(self) -> float | None:
        """When :meth:`poll` has something to do at the latest; None for never."""
        return self._timers[0][0] if self._timers else None

    def poll(self, now: float) -> list[Action]:
        """What time alone brings about."""
        actions: list[Action] = []
        while self._timers and self._timers[0][0] <= now:
            _, seq = heapq.heappop(self._timers)
            slot = self._slots.get(seq)
            if slot is not None and slot.wait_until is not None and slot.wait_until <= now:
                slot.wait_until = None
                actions.append(self._decode(slot, None))
            caption = self._early.get(seq)
            if caption is not None and caption.expires_at <= now:
                del self._early[seq]
                actions.append(_settle(caption, wire.DISPOSITION_EXPIRED, "ttl is over"))
        return actions

    def _set_timer(self, when: float, seq: int) -> None:
        heapq.heappush(self._timers, (when, seq))
        live = len(self._early) + len(self._slots)
        if len(self._timers) > 2 * live + 64:  # most are out of date
            self._timers = [one for one in self._timers if self._is_live(*one)]
            heapq.heapify(self._timers)

    def _is_live(self, when: float, seq: int) -> bool:
        slot, caption = self._slots.get(seq), self._early.get(seq)
        waits = slot is not None and slot.wait_until == when
        return waits or (caption is not None and caption.expires_at == when)

    # Inside

    def _decode(self, slot: Slot, caption: Caption | None) -> Decode:
        slot.current = caption
        return Decode(DecodeTask(slot.frame, caption), slot.first)

    def _add_early(self, caption: Caption) -> list[Action]:
        seq = caption.key.seq
        older = self._early.get(seq)
        if older is not None and older.revision > caption.revision:
            return [_settle(caption, wire.DISPOSITION_SUPERSEDED)]
        self._early[seq] = caption
        self._set_timer(caption.expires_at, seq)
        return [] if older is None else [_settle(older, wire.DISPOSITION_SUPERSEDED)]

    def _newer(self, slot: Slot, caption: Caption) -> list[Action]:
        """A caption for a frame that is being decoded."""
        if not _fits(caption, slot.frame):
            return [_settle(caption, wire.DISPOSITION_REJECTED, "of another picture")]
        if caption.revision < slot.newest:
            return [_settle(caption, wire.DISPOSITION_SUPERSEDED)]
        slot.newest = caption.revision
        actions: list[Action] = []
        if slot.upcoming is not None:
            actions.append(_settle(slot.upcoming, wire.DISPOSITION_SUPERSEDED))
            slot.upcoming = None
        if caption.text is None:
            actions.append(_settle(caption, wire.DISPOSITION_NOTED))
        else:
            slot.upcoming = caption
        return actions


def _fits(caption: Caption, frame: Frame) -> bool:
    return not caption.content_id or caption.content_id == frame.content_id


def _beside(frame: Frame, caption: Caption) -> Settle:
    """Words that make no other picture: for readers."""
    return Settle(words_beside(frame, caption))


def _settle(caption: Caption, disposition: wire.Disposition, reason: str = "") -> Settle:
    return Settle(caption_end(caption, disposition, reason))
