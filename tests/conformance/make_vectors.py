"""Writes vectors.json: the messages of tests/vectors.py, for programs in any language.

    python -m tests.conformance.make_vectors

Each has the request or response as it crosses the channel (``message``), its fields as protobuf's JSON
has them, the bytes that its checksum is over (``crc_input``, laid out here once more from
docs/protocol.md) and the checksum. Bytes are in hex.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict

from shared.wire.v1 import types_pb2 as wire
from shared.wire.v1.caption_channel_pb2 import Caption
from shared.wire.v1.image_channel_pb2 import ImageFrame, SkippedFrame
from tests.vectors import EPOCH, STREAM_ID, VECTORS, Vector

__all__ = ["VECTORS_FILE", "crc_input", "vectors_json"]

VECTORS_FILE = Path(__file__).parent / "vectors.json"

Sealed = ImageFrame | SkippedFrame | Caption | wire.Ack


def _text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", len(data)) + data


def _ttl(present: bool, ttl: Duration) -> bytes:
    return struct.pack("<Bqi", present, ttl.seconds, ttl.nanos)


def crc_input(stream_id: str, epoch: int, message: Sealed) -> bytes:
    """The bytes that a message's CRC32C is over; docs/protocol.md, "Checksums"."""
    key = _text(stream_id) + struct.pack("<I", epoch)
    match message:
        case ImageFrame():
            return b"".join(
                (
                    b"\x01" + key + struct.pack("<Q", message.seq),
                    _text(message.content_id),
                    _text(message.name),
                    struct.pack("<B", message.expects_caption),
                    _ttl(message.HasField("ttl"), message.ttl),
                    _text(message.container),
                )
            )
        case SkippedFrame():
            return b"".join(
                (
                    b"\x02" + key + struct.pack("<Q", message.seq),
                    _text(message.content_id),
                    _text(message.name),
                    _text(message.reason),
                )
            )
        case Caption():
            tombstone = message.WhichOneof("body") == "tombstone"
            return b"".join(
                (
                    b"\x03" + key + struct.pack("<Q", message.seq),
                    _text(message.content_id),
                    struct.pack("<IB", message.revision, tombstone),
                    _text(message.text),
                    _text(message.language),
                    _ttl(message.HasField("ttl"), message.ttl),
                )
            )
    positions, outcomes = message.positions, message.outcomes
    return b"".join(
        (
            b"\x04" + key + struct.pack("<QI", positions.cumulative, len(positions.ranges)),
            *(struct.pack("<QQ", one.first, one.last) for one in positions.ranges),
            struct.pack("<I", len(outcomes)),
            *(struct.pack("<QIi", one.seq, one.revision, one.disposition) for one in outcomes),
        )
    )


def _record(vector: Vector) -> dict[str, object]:
    kind = vector.message.WhichOneof("message")
    inside = getattr(vector.message, kind)
    return {
        "kind": kind,
        "channel": vector.channel,
        "direction": vector.direction,
        "stream_id": STREAM_ID,
        "epoch": EPOCH,
        "fields": MessageToDict(inside, preserving_proto_field_name=True),
        "crc_input": crc_input(STREAM_ID, EPOCH, inside).hex(),
        "crc32c": vector.crc32c,
        "message": vector.message.SerializeToString().hex(),
    }


def vectors_json() -> str:
    """What the file holds."""
    return json.dumps([_record(one) for one in VECTORS], indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    VECTORS_FILE.write_text(vectors_json(), encoding="utf-8")
