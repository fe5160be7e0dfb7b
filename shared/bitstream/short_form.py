"""The short form: a header in six bytes, for payloads up to 255 bytes that hold their own check.

Layout (docs/protocol.md says it byte for byte)::

    1 0 1 codec id (5)                                             bits, the highest first
    first byte of the model id (8)
    width - 1 (13) | height - 1 (13) | quality (6)
    payload without its last zero bytes

The check is the word at the bottom of the entropy coder's stack, where it costs next to nothing: a reader has
it when it has the symbols. The blob's end is the payload's. Such a payload is whole words and never ends in a
zero one, so that its last zero bytes need not be there: a reader fills the last word up.
"""

from __future__ import annotations

from shared.bitstream.header import Header
from shared.errors import ContainerError

__all__ = [
    "CHECK_BITS",
    "HEAD_BYTES",
    "LONGEST_PAYLOAD",
    "MODEL_PREFIX_BYTES",
    "begins",
    "carries",
    "check_of",
    "pack",
    "stripped",
    "unpack",
]

#: The first byte's three highest bits, which no long form begins with.
MARK = 0b101
CODEC_BITS, SIDE_BITS, QUALITY_BITS = 5, 13, 6
MODEL_PREFIX_BYTES = 1
#: Before the payload.
HEAD_BYTES = 6
#: As many as an entropy coder's bottom has.
CHECK_BITS = 24
#: Longest payload, its last zero bytes not counted.
LONGEST_PAYLOAD = 255
#: An entropy coder's words.
WORD_BYTES = 4


def begins(blob: bytes) -> bool:
    """Whether a blob begins as the short form does."""
    return bool(blob) and blob[0] >> CODEC_BITS == MARK


def carries(header: Header, payload: bytes) -> bool:
    """Whether the short form can say all of it, and a reader gets the very payload back."""
    kept = stripped(payload)
    return (
        1 <= header.codec_id < 1 << CODEC_BITS
        and 1 <= header.width <= 1 << SIDE_BITS
        and 1 <= header.height <= 1 << SIDE_BITS
        and header.quality < 1 << QUALITY_BITS
        and len(kept) <= LONGEST_PAYLOAD
        and _filled(kept) == payload
    )


def stripped(payload: bytes) -> bytes:
    """A payload as it stands in the blob."""
    return payload.rstrip(b"\0")


def _filled(kept: bytes) -> bytes:
    return kept + bytes(-len(kept) % WORD_BYTES)


def check_of(crc32c: int) -> int:
    """The lowest bits of a checksum, as many as the form keeps."""
    return crc32c & (1 << CHECK_BITS) - 1


def pack(header: Header) -> bytes:
    """All bytes before the payload."""
    picture = header.width - 1
    picture = picture << SIDE_BITS | header.height - 1
    picture = picture << QUALITY_BITS | header.quality
    first = MARK << CODEC_BITS | header.codec_id
    prefix = header.model_id[:MODEL_PREFIX_BYTES]
    return bytes([first]) + prefix + picture.to_bytes(4, "big")


def unpack(blob: bytes) -> tuple[Header, bytes]:
    """The header and the payload of a blob that :func:`begins` as it should.

    Every side and level that fits is within the limits.

    Raises:
        ContainerError: cut off, too long, of codec id 0, or with a zero byte at the end.
    """
    if len(blob) < HEAD_BYTES:
        raise ContainerError(f"cut off in the short header ({len(blob)} bytes of {HEAD_BYTES})")
    kept = blob[HEAD_BYTES:]
    if len(kept) > LONGEST_PAYLOAD:
        raise ContainerError(
            f"payload of a short form is {len(kept)} bytes, at most {LONGEST_PAYLOAD}"
        )
    if kept.endswith(b"\0"):
        raise ContainerError("payload of a short form ends in a zero byte, which is to be left out")
    codec_id = blob[0] & (1 << CODEC_BITS) - 1
    if codec_id == 0:
        raise ContainerError("a short form of codec id 0, which no codec has")
    picture = int.from_bytes(blob[2:HEAD_BYTES], "big")
    quality = picture & (1 << QUALITY_BITS) - 1
    picture >>= QUALITY_BITS
    height = (picture & (1 << SIDE_BITS) - 1) + 1
    width = (picture >> SIDE_BITS) + 1
    header = Header(codec_id, blob[1 : 1 + MODEL_PREFIX_BYTES], width, height, quality)
    return header, _filled(kept)
