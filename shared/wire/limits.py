"""What a receiver takes, in bytes and counts. Everything is checked before anything is kept.

docs/protocol.md adds up, under Memory, what a stream can make a receiver use.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.pictures import LARGEST_SIDE
from shared.wire.v1 import types_pb2

__all__ = [
    "CONTENT_ID_BYTES",
    "MESSAGE_OVERHEAD",
    "OUTCOMES_IN_ACK",
    "READ_AHEAD",
    "Limits",
    "Window",
]

CONTENT_ID_BYTES = 16
#: Longest stream id, in characters.
STREAM_ID_LENGTH = 64
#: Room in a gRPC message beside a container or a caption.
MESSAGE_OVERHEAD = 4096
#: HTTP/2's window of a call, in bytes. gRPC opens it again while what it let through is still on its way, so
#: that up to twice as much is sent before it is read, beside the message that is being read.
READ_AHEAD = 1 << 20
#: Most outcomes in one ack.
OUTCOMES_IN_ACK = 1024


@dataclass(frozen=True)
class Window:
    """How much a channel may have in memory at the receiver: frames (or captions) and bytes."""

    frames: int
    bytes: int


@dataclass(frozen=True)
class Limits:
    """The limits of one receiver. With the defaults a stream takes up to 121 MiB of its memory."""

    frame_bytes: int = 8 << 20
    picture_pixels: int = LARGEST_SIDE * LARGEST_SIDE
    caption_bytes: int = 16 << 10
    name_bytes: int = 128
    seq_window: int = 1 << 16
    image_window: Window = Window(frames=1024, bytes=32 << 20)
    caption_window: Window = Window(frames=4096, bytes=8 << 20)

    def to_message(self) -> types_pb2.Limits:
        """The limits as OpenSession and GetCapabilities say them."""
        return types_pb2.Limits(
            frame_bytes=self.frame_bytes,
            picture_pixels=self.picture_pixels,
            caption_bytes=self.caption_bytes,
            name_bytes=self.name_bytes,
            seq_window=self.seq_window,
            image_window=_credit(self.image_window),
            caption_window=_credit(self.caption_window),
        )


def _credit(window: Window) -> types_pb2.Credit:
    return types_pb2.Credit(frames=window.frames, bytes=window.bytes)
