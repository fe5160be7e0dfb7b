"""What travels inside a receiver: a frame, a caption, a task for a decoder, its result, a delivery."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from shared.wire.v1.types_pb2 import (
    DISPOSITION_DECODED_NO_TEXT,
    DISPOSITION_DECODED_TEXT_LATE,
    DISPOSITION_DECODED_WITH_TEXT,
    DISPOSITION_NOTED,
    Disposition,
)

__all__ = [
    "READS_NO_WORDS",
    "Caption",
    "DecodeFailure",
    "DecodeResult",
    "DecodeTask",
    "Delivery",
    "End",
    "Frame",
    "Key",
    "caption_end",
    "frame_end",
    "words_beside",
]

#: Why words stand beside a picture; an end of no other kind has this reason.
READS_NO_WORDS = "its picture's codec reads no words"

DECODED = frozenset(
    {DISPOSITION_DECODED_WITH_TEXT, DISPOSITION_DECODED_NO_TEXT, DISPOSITION_DECODED_TEXT_LATE}
)


@dataclass(frozen=True, slots=True)
class Key:
    """One picture of one stream, as on the wire."""

    stream_id: str
    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture that was admitted.

    Attributes:
        content_id: 16 bytes that both channels know it by.
        container: the whole blob, header checked, payload not yet.
        expires_at: on the receiver's clock, in seconds; None for never.
        arrived_at: on the same clock; None for a frame that a late caption has brought back.
        traceparent: as the sender wrote it, for whoever watches; empty for none.
    """

    key: Key
    content_id: bytes
    name: str
    container: bytes
    expects_caption: bool
    expires_at: float | None = None
    arrived_at: float | None = None
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption that was admitted; ``text`` is None in a tombstone.

    Attributes:
        content_id: of the picture; empty fits any.
        expires_at: on the receiver's clock, in seconds.
        traceparent: as the publisher wrote it, for whoever watches; empty for none.
    """

    key: Key
    content_id: bytes
    revision: int
    text: str | None
    language: str
    expires_at: float
    traceparent: str = ""

    @property
    def held_bytes(self) -> int:
        """What it counts for in the caption window."""
        return len(self.text.encode()) if self.text else 0


@dataclass(frozen=True, slots=True)
class DecodeTask:
    """One decode: a frame, and the words to decode it with (None: without text, revision 0)."""

    frame: Frame
    caption: Caption | None

    @property
    def revision(self) -> int:
        """The caption's revision; 0 without one."""
        return self.caption.revision if self.caption else 0


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """A picture file; ``picture`` is empty where the pool makes none (a benchmark's no-op)."""

    picture: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class DecodeFailure:
    """Why a frame can never be decoded, in one line."""

    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """How one (frame, revision) ends; a fact as soon as it is in the ledger, once and for all.

    Attributes:
        frame_ended: this is the frame's first disposition.
        caption_ended: a caption of this revision is done with.
        frame: the frame, where it was in memory.
        caption: the caption that was used or that ended.
        picture, media_type: what a decoder made.
        reason: one line, for rejected and expired ones.
        decoded_at: on the receiver's clock, in seconds; None where nothing was decoded.
    """

    key: Key
    revision: int
    disposition: Disposition
    frame_ended: bool
    caption_ended: bool
    frame: Frame | None = None
    caption: Caption | None = None
    picture: bytes = b""
    media_type: str = ""
    reason: str = ""
    decoded_at: float | None = None

    @property
    def picture_made(self) -> bool:
        """A decoder made a picture of it."""
        return self.disposition in DECODED

    @property
    def words_beside(self) -> bool:
        """Words that go beside a picture which has been decoded without them."""
        return self.disposition == DISPOSITION_NOTED and self.frame is not None

    @property
    def delivered(self) -> bool:
        """A sink hears of it."""
        return self.frame_ended or self.picture_made or self.words_beside


def frame_end(frame: Frame, disposition: Disposition, reason: str = "") -> End:
    """A frame ends without a picture."""
    return End(frame.key, 0, disposition, True, False, frame=frame, reason=reason)


def caption_end(caption: Caption, disposition: Disposition, reason: str = "") -> End:
    """A caption ends without having been used."""
    return End(
        caption.key, caption.revision, disposition, False, True, caption=caption, reason=reason
    )


def words_beside(frame: Frame, caption: Caption) -> End:
    """A caption of a picture whose codec reads none ends without having been used, and is delivered."""
    end = caption_end(caption, DISPOSITION_NOTED, READS_NO_WORDS)
    return replace(end, frame=frame)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What goes to the sink and the ledger together: one (frame, revision) that has ended.

    Attributes:
        offset: the ledger's number for it; rises by one, never used twice.
        picture: a picture file, or empty where there is none (rejected, expired, words beside a picture,
            no-op decoder).
        caption: the words that it was decoded with, or that go beside it; None without.
        container: the frame's blob; empty where the sender had none.
        received_at: when the frame came; None for one that a late caption has brought back.
        decoded_at: when the picture came back from its decoder; None where there is none.
    """

    offset: int
    key: Key
    revision: int
    disposition: Disposition
    name: str
    content_id: bytes
    caption: str | None
    picture: bytes
    media_type: str
    reason: str
    container: bytes = b""
    received_at: datetime | None = None
    decoded_at: datetime | None = None
