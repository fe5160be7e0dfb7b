"""Messages with checksums, for another language to read, check and write again.

Each is a fresh object, so that a test may change it. They hold numbers over 2**53, text beyond ASCII and
beyond the basic plane, and optional fields both absent and present.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from shared.wire.checksums import ack_crc, caption_crc, frame_crc, skip_crc
from shared.wire.v1 import caption_channel_pb2 as captions
from shared.wire.v1 import image_channel_pb2 as images
from shared.wire.v1 import types_pb2 as wire

__all__ = [
    "EPOCH",
    "STREAM_ID",
    "VECTORS",
    "Vector",
    "ack",
    "caption",
    "frame",
    "skip",
    "tombstone",
]

STREAM_ID, EPOCH = "newswire-7", 4_000_000_000
CONTENT_ID = bytes(range(16))

Sealed = TypeVar("Sealed", images.ImageFrame, images.SkippedFrame, captions.Caption)


def _sealed(message: Sealed, crc: Callable[[str, int, Sealed], int]) -> Sealed:
    message.crc32c = crc(STREAM_ID, EPOCH, message)
    return message


def frame() -> images.ImageFrame:
    """A picture that waits for its caption."""
    message = images.ImageFrame(
        seq=2**63 + 1,
        content_id=CONTENT_ID,
        name="Röntgen",
        expects_caption=True,
        ttl=Duration(seconds=90_000_000, nanos=999_999_999),
        container=bytes(range(256)) * 5,
    )
    return _sealed(message, frame_crc)


def skip() -> images.SkippedFrame:
    """A number without a picture."""
    message = images.SkippedFrame(
        seq=12, content_id=CONTENT_ID, name="broken", reason="not a picture"
    )
    return _sealed(message, skip_crc)


def caption() -> captions.Caption:
    """Words, for ever."""
    message = captions.Caption(
        seq=11, content_id=CONTENT_ID, revision=3, text="Zwei 🦜 im Baum", language="de"
    )
    return _sealed(message, caption_crc)


def tombstone() -> captions.Caption:
    """No words, of whatever picture."""
    message = captions.Caption(
        seq=0, revision=1, tombstone=captions.Tombstone(), ttl=Duration(seconds=5)
    )
    return _sealed(message, caption_crc)


def ack() -> wire.Ack:
    """Two ends, and a range that reaches the last number there is."""
    message = wire.Ack(
        positions=wire.Positions(
            cumulative=2**53 + 1, ranges=[wire.SeqRange(first=2**53 + 3, last=2**64 - 1)]
        ),
        outcomes=[
            wire.Outcome(seq=2**53, disposition=wire.DISPOSITION_DECODED_NO_TEXT),
            wire.Outcome(seq=7, revision=2, disposition=wire.DISPOSITION_NOTED),
        ],
    )
    message.crc32c = ack_crc(STREAM_ID, EPOCH, message.positions, message.outcomes)
    return message


class Vector(NamedTuple):
    """A whole message as it crosses a channel, in one direction."""

    channel: str
    direction: str
    message: Message

    @property
    def crc32c(self) -> int:
        """The checksum that the message inside carries."""
        inside = getattr(self.message, self.message.WhichOneof("message"))
        return int(inside.crc32c)

    def to_json(self) -> dict[str, object]:
        """The vector for another language's JSON parser; the message is in base64."""
        return {
            "channel": self.channel,
            "direction": self.direction,
            "key": {"stream_id": STREAM_ID, "epoch": EPOCH},
            "message": base64.b64encode(self.message.SerializeToString()).decode(),
        }


VECTORS = (
    Vector("images", "request", images.StreamImagesRequest(frame=frame())),
    Vector("images", "request", images.StreamImagesRequest(skip=skip())),
    Vector("images", "response", images.StreamImagesResponse(ack=ack())),
    Vector("captions", "request", captions.StreamCaptionsRequest(caption=caption())),
    Vector("captions", "request", captions.StreamCaptionsRequest(caption=tombstone())),
    Vector("captions", "response", captions.StreamCaptionsResponse(ack=ack())),
)
