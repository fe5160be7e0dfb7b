"""CRC32C over what a message says, in one byte order that any language can repeat.

TCP's own checksum is 16 bits and ends at each middlebox; a changed ``seq`` in a frame or an ack would lose a
picture in silence. Integers are little-endian, strings and bytes are preceded by their length as u32.
docs/protocol.md states the same, with an example.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import google_crc32c

from shared.wire.v1 import caption_channel_pb2, image_channel_pb2, types_pb2

__all__ = ["ack_crc", "caption_crc", "frame_crc", "skip_crc"]

FRAME_KIND, SKIP_KIND, CAPTION_KIND, ACK_KIND = range(1, 5)


def _text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def _head(kind: int, stream_id: str, epoch: int) -> bytes:
    return struct.pack("<B", kind) + _text(stream_id.encode()) + struct.pack("<I", epoch)


def _ttl(message: image_channel_pb2.ImageFrame | caption_channel_pb2.Caption) -> bytes:
    """Whether there is one, its seconds and its nanoseconds."""
    ttl = message.ttl
    return struct.pack("<?qi", message.HasField("ttl"), ttl.seconds, ttl.nanos)


def _crc(*parts: bytes) -> int:
    crc: int = google_crc32c.value(b"".join(parts))
    return crc


def frame_crc(stream_id: str, epoch: int, frame: image_channel_pb2.ImageFrame) -> int:
    """The checksum over the key, content id, name, expects_caption, ttl and the container."""
    head = _crc(
        _head(FRAME_KIND, stream_id, epoch),
        struct.pack("<Q", frame.seq),
        _text(frame.content_id),
        _text(frame.name.encode()),
        struct.pack("<?", frame.expects_caption),
        _ttl(frame),
        struct.pack("<I", len(frame.container)),
    )
    crc: int = google_crc32c.extend(head, frame.container)
    return crc


def skip_crc(stream_id: str, epoch: int, skip: image_channel_pb2.SkippedFrame) -> int:
    """The checksum over the key, content id, name and reason."""
    return _crc(
        _head(SKIP_KIND, stream_id, epoch),
        struct.pack("<Q", skip.seq),
        _text(skip.content_id),
        _text(skip.name.encode()),
        _text(skip.reason.encode()),
    )


def caption_crc(stream_id: str, epoch: int, caption: caption_channel_pb2.Caption) -> int:
    """The checksum over the key, content id, revision, whether it is a tombstone, text, language and ttl."""
    return _crc(
        _head(CAPTION_KIND, stream_id, epoch),
        struct.pack("<Q", caption.seq),
        _text(caption.content_id),
        struct.pack("<I?", caption.revision, caption.WhichOneof("body") == "tombstone"),
        _text(caption.text.encode()),
        _text(caption.language.encode()),
        _ttl(caption),
    )


def ack_crc(
    stream_id: str,
    epoch: int,
    positions: types_pb2.Positions,
    outcomes: Sequence[types_pb2.Outcome],
) -> int:
    """The checksum over the key, the cumulative position, ranges and outcomes, each after its count."""
    return _crc(
        _head(ACK_KIND, stream_id, epoch),
        struct.pack("<QI", positions.cumulative, len(positions.ranges)),
        *(struct.pack("<QQ", one.first, one.last) for one in positions.ranges),
        struct.pack("<I", len(outcomes)),
        *(struct.pack("<QIi", one.seq, one.revision, one.disposition) for one in outcomes),
    )
