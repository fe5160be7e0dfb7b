"""The header: what a container says of its payload, and its bytes in the long form.

These bytes are also what every checksum begins with, in whichever form the header itself stands. With
the short form they say that the payload has no bytes: it comes after the checksum, which lies in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.bitstream.varint import read_varint, write_varint
from shared.errors import ContainerError
from shared.pictures import check_side

__all__ = ["LARGEST_PAYLOAD", "MAGIC", "MODEL_ID_BYTES", "Header"]

MAGIC = b"S\xd7"
#: Of the long form.
VERSION = 1
#: Padding rule 0: repeat the last row and column up to the next multiple of 64.
PADDING_EDGE_64 = 0
MODEL_ID_BYTES = 4
#: Longest payload that is read.
LARGEST_PAYLOAD = 1 << 27


@dataclass(frozen=True)
class Header:
    """What a decoder must know before the payload.

    Attributes:
        codec_id: the stream's, see :mod:`shared.systems.catalogue`.
        model_id: the first :data:`MODEL_ID_BYTES` of the model's id, or, read from a short form, fewer of
            them. Hold it against a known id with :meth:`is_of`.
        width, height: of the true picture, in pixels.
        quality: the codec's level.
    """

    codec_id: int
    model_id: bytes
    width: int
    height: int
    quality: int

    def is_of(self, model_id: bytes) -> bool:
        """Whether a model may have made the stream, by its id as far as this header tells it.

        Where that is a byte, another model may begin with it, too: the checksum knows the whole id.
        """
        return model_id.startswith(self.model_id)

    def pack(self, payload_length: int) -> bytes:
        """All bytes before the checksum in the long form."""
        return (
            MAGIC
            + bytes([VERSION << 4 | PADDING_EDGE_64, self.codec_id])
            + self.model_id
            + write_varint(self.width)
            + write_varint(self.height)
            + bytes([self.quality])
            + write_varint(payload_length)
        )

    @classmethod
    def unpack(cls, blob: bytes) -> tuple[Header, int, int]:
        """The header that a blob begins with, the length of its payload, and where its checksum stands.

        Raises:
            ContainerError: not a container, cut off, or too long a payload.
            LimitError: a side is out of range.
        """
        if blob[:2] != MAGIC:
            raise ContainerError("not a Sidewire stream (the first two bytes are not its magic)")
        if len(blob) < 4 + MODEL_ID_BYTES:
            raise ContainerError(f"cut off in the header ({len(blob)} bytes)")
        if blob[2] >> 4 != VERSION:
            raise ContainerError(
                f"version {blob[2] >> 4} of the long form; this build reads {VERSION}"
            )
        if blob[2] & 0xF != PADDING_EDGE_64:
            raise ContainerError(f"unknown padding rule {blob[2] & 0xF}")
        model_id = blob[4 : 4 + MODEL_ID_BYTES]
        width, position = read_varint(blob, 4 + MODEL_ID_BYTES, "width")
        height, position = read_varint(blob, position, "height")
        check_side("width", width)
        check_side("height", height)
        if position >= len(blob):
            raise ContainerError("cut off in quality")
        quality = blob[position]
        length, position = read_varint(blob, position + 1, "payload length")
        if length > LARGEST_PAYLOAD:
            raise ContainerError(f"payload length is {length}, at most {LARGEST_PAYLOAD}")
        return cls(blob[3], model_id, width, height, quality), length, position
