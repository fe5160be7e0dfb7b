"""What travels inside a receiver: a frame, a caption, a task for a decoder, its result, a delivery."""

from __future__ import annotations

from dataclasses import dataclass

from shared.wire.v1.types_pb2 import Disposition

__all__ = ["Caption", "DecodeFailure", "DecodeResult", "DecodeTask", "Delivery", "Frame", "Key"]


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
    """

    key: Key
    content_id: bytes
    name: str
    container: bytes
    expects_caption: bool
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption that was admitted; ``text`` is None in a tombstone.

    Attributes:
        content_id: of the picture; empty fits any.
        expires_at: on the receiver's clock, in seconds.
    """

    key: Key
    content_id: bytes
    revision: int
    text: str | None
    language: str
    expires_at: float


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
class Delivery:
    """What goes to the sink and the ledger together: one (frame, revision) that has ended.

    Attributes:
        offset: the ledger's number for it; rises by one, never used twice.
        picture: a picture file, or empty where there is none (rejected, expired, no-op decoder).
        caption: the words it was decoded with; None without.
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
