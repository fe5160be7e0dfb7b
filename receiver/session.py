"""One stream at the receiver: epochs, credits, positions, and what each message leads to.

No clock, sockets or threads: calls take the time and return actions, or raise what is refused.
Positions change only in :meth:`Session.committed`, after the ledger has them: an ack means durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from receiver.flow import Account, Flow
from receiver.joiner import Action, Joiner, JoinPolicy, Settle
from receiver.work import Caption, End, Frame, Key, caption_end
from shared.wire.errors import Reason, WireError
from shared.wire.limits import Limits
from shared.wire.positions import Positions
from shared.wire.v1 import types_pb2 as wire

__all__ = ["Compare", "Found", "LookUp", "Session", "Step", "content_changed"]

#: Most separate ranges in the caption positions: a publisher that leaves gaps for ever stays bounded.
CAPTION_GAPS = 4096
#: Of an outcome; the ledger has the rest.
REASON_BYTES = 200


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the ledger what it knows of a caption's picture, then call :meth:`Session.looked_up`."""

    caption: Caption


@dataclass(frozen=True, slots=True)
class Compare:
    """A frame that has ended came again: ask the ledger whether it is the same content."""

    key: Key
    content_id: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What the ledger knows.

    Attributes:
        caption_ended: this very revision has ended before.
        newest: the highest revision that has ended; 0 for none.
        frame_ended: the frame has had its first disposition.
        kept: the frame, while its container is kept for late captions.
    """

    caption_ended: bool
    newest: int
    frame_ended: bool
    kept: Frame | None


Step = Action | LookUp | Compare


class Session:
    """One stream and epoch."""

    def __init__(
        self,
        stream_id: str,
        epoch: int,
        session_id: str,
        sender: str,
        policy: JoinPolicy,
        limits: Limits,
        accounts: tuple[Account, Account],
    ) -> None:
        self.stream_id = stream_id
        self.epoch = epoch
        self.session_id = session_id
        self.sender = sender
        self.limits = limits
        #: Numbers below it the sender will never send, whatever this ledger knows of them.
        self._floor = 0
        #: A newer epoch has begun: what is still under way here has no effect.
        self.fenced = False
        #: A picture sender has opened it; a caption publisher alone does not claim an epoch.
        self.claimed = False
        #: False where the text encoders differ: pictures are decoded without text.
        self.text_used = True
        #: When nobody was seen to use it first; None while somebody is attached or something is held.
        self.unused_since: float | None = None
        self.images = Flow(limits.image_window, accounts[0])
        self.captions = Flow(limits.caption_window, accounts[1])
        self.joiner = Joiner(policy)
        #: (seq, revision) of captions whose end is on its way to the ledger.
        self._words: set[tuple[int, int]] = set()
        #: Frames in memory that arrived on the picture channel, and their bytes.
        self._charged: dict[int, int] = {}

    # Pictures

    def frame(self, frame: Frame, now: float) -> Sequence[Step]:
        """A frame that was admitted and counted.

        Raises:
            WireError: SEQ_TOO_FAR or CONTENT_CHANGED.
        """
        known = self._known(frame)
        if known is not None:
            return known
        seq = frame.key.seq
        self._charged[seq] = len(frame.container)
        self.images.hold(len(frame.container))
        return self.joiner.add_frame(frame, now)

    def skip(self, frame: Frame, reason: str) -> Sequence[Step]:
        """The sender has no picture for this number; ``frame`` has an empty container.

        Raises:
            WireError: as :meth:`frame`.
        """
        known = self._known(frame)
        if known is not None:
            return known
        self._charged[frame.key.seq] = 0
        self.images.hold(0)
        return self.joiner.skip_frame(frame, reason)

    def _known(self, frame: Frame) -> Sequence[Step] | None:
        """What to do with a frame that was here before; None if it was not."""
        seq = frame.key.seq
        self._check_window(seq)
        if seq in self.images.positions:
            return [Compare(frame.key, frame.content_id)]
        if seq not in self._charged:
            return None
        held = self.joiner.frame_of(seq)
        if held is not None and held.content_id != frame.content_id:
            raise content_changed(frame.key)
        return []  # its end is on the way

    def _check_window(self, seq: int) -> None:
        end = self.images.positions.cumulative + self.limits.seq_window
        if seq >= end:
            raise WireError(
                Reason.SEQ_TOO_FAR, f"seq is {seq}, must be below {end}", value=seq, limit=end
            )

    # Captions

    def caption(self, caption: Caption) -> Sequence[Step]:
        """A caption that was admitted and counted.

        Raises:
            WireError: SEQ_TOO_FAR.
        """
        self._check_window(caption.key.seq)
        if not self._keep(caption):
            return []
        seq = caption.key.seq
        if seq in self.images.positions or seq in self.captions.positions:
            return [LookUp(caption)]  # it may have ended
        return self.joiner.add_caption(caption)

    def _keep(self, caption: Caption) -> bool:
        """Count a caption as held; False if this revision is held already."""
        mark = (caption.key.seq, caption.revision)
        if mark in self._words:
            return False
        self._words.add(mark)
        self.captions.hold(caption.held_bytes)
        return True

    def _let_go(self, caption: Caption) -> None:
        self._words.remove((caption.key.seq, caption.revision))
        self.captions.release(caption.held_bytes)

    def reject_caption(self, caption: Caption, reason: str) -> Sequence[Step]:
        """A caption that can never be used, durably refused so that its publisher may forget it.

        Raises:
            WireError: SEQ_TOO_FAR.
        """
        self._check_window(caption.key.seq)
        if not self._keep(caption):
            return []
        return [Settle(caption_end(caption, wire.DISPOSITION_REJECTED, reason))]

    def looked_up(self, caption: Caption, found: Found) -> Sequence[Step]:
        """The ledger's answer to a :class:`LookUp`."""
        if found.caption_ended:
            self._let_go(caption)
            self.captions.report(_outcome(caption, wire.DISPOSITION_DUPLICATE))
            return []
        if caption.revision < found.newest:
            return [Settle(caption_end(caption, wire.DISPOSITION_SUPERSEDED))]
        seq = caption.key.seq
        # A picture that counts as ended without a row is one that will never come.
        if seq in self.joiner or not (found.frame_ended or seq in self.images.positions):
            return self.joiner.add_caption(caption)
        return self._late(caption, found.kept)

    def _late(self, caption: Caption, kept: Frame | None) -> Sequence[Step]:
        """A caption whose picture has ended."""
        if caption.text is None:
            return [Settle(caption_end(caption, wire.DISPOSITION_NOTED))]
        if kept is None:
            late = "the window for late captions is over"
            return [Settle(caption_end(caption, wire.DISPOSITION_EXPIRED, late))]
        if caption.content_id not in (b"", kept.content_id):
            other = "of another picture"
            return [Settle(caption_end(caption, wire.DISPOSITION_REJECTED, other))]
        return self.joiner.add_late(kept, caption)

    def compared(self, key: Key) -> None:
        """The frame of a :class:`Compare` has the content that it had."""
        self.images.report(wire.Outcome(seq=key.seq, disposition=wire.DISPOSITION_DUPLICATE))

    # What the ledger has

    def positions_after(self, ends: Sequence[End]) -> tuple[Positions, Positions]:
        """Both channels' positions once ``ends`` are committed: what the ledger stores with them."""
        images, captions = self.images.positions.copy(), self.captions.positions.copy()
        for end in ends:
            if end.frame_ended:
                images.add(end.key.seq)
            if end.caption_ended:
                captions.add(end.key.seq)
        while captions.gaps > CAPTION_GAPS:
            captions.close_lowest_gap()
        images.raise_to(self._floor)
        return images, captions

    def committed(
        self, ends: Sequence[End], images: Positions, captions: Positions
    ) -> Sequence[Step]:
        """``ends`` and the positions are durable."""
        self.images.positions, self.captions.positions = images, captions
        steps: list[Step] = []
        for end in ends:
            seq = end.key.seq
            outcome = wire.Outcome(
                seq=seq,
                revision=end.revision,
                disposition=end.disposition,
                reason=end.reason.encode()[:REASON_BYTES].decode(errors="ignore"),
            )
            if end.frame_ended:
                self.images.report(outcome)
            if end.caption_ended and end.caption is not None:
                self.captions.report(outcome)
                self._let_go(end.caption)
            if end.words_beside:  # its frame has ended before
                continue
            if end.frame is not None and seq in self.joiner:
                steps += self.joiner.committed(seq, end.picture_made)
            if end.frame is not None and seq not in self.joiner and seq in self._charged:
                self.images.release(self._charged.pop(seq))
        return steps

    def begin_at(self, seq: int) -> None:
        """The picture sender will never send a number below ``seq``: such pictures count as ended.

        Their captions do not: a publisher may be behind, and its words are still to be used.
        """
        self._floor = max(self._floor, seq)
        self.images.positions.raise_to(self._floor)

    def fence(self) -> None:
        """A newer epoch has begun: give back what this one holds; what still ends counts for nobody."""
        self.fenced = True
        for flow in (self.images, self.captions):
            flow.account.add(-flow.held, -flow.held_bytes)
            flow.account = Account(flow.account.quota, flow.held, flow.held_bytes)

    @property
    def idle(self) -> bool:
        """Nothing of this stream is in memory."""
        return self.images.held == 0 and self.captions.held == 0


def _outcome(caption: Caption, disposition: wire.Disposition) -> wire.Outcome:
    return wire.Outcome(seq=caption.key.seq, revision=caption.revision, disposition=disposition)


def content_changed(key: Key) -> WireError:
    """The key is taken by other content."""
    return WireError(
        Reason.CONTENT_CHANGED,
        f"seq {key.seq} of epoch {key.epoch} is already another picture",
        seq=key.seq,
    )
