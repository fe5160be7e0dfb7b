"""The container: one self-describing blob a picture, the same in a file and on the wire.

Layout (docs/protocol.md says it byte for byte)::

    "S" 0xD7 | version, padding rule | codec id | model id (4)
    width | height | quality | payload length      varints, but quality one byte
    CRC32C (4) over all of the above and the decoded symbols
    payload

A 768x512 picture pays 19 or 20 bytes beyond its payload. The checksum covers what was *decoded*, so
that a wrong table, a foreign machine or a changed header is found out, also when the payload
decodes without complaint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from shared.bitstream.varint import read_varint, write_varint
from shared.errors import ContainerError, CorruptStreamError
from shared.pictures import check_side

__all__ = [
    "LARGEST_PAYLOAD",
    "MAGIC",
    "MODEL_ID_BYTES",
    "Container",
    "Header",
    "symbols_crc32c",
]

MAGIC = b"S\xd7"
VERSION = 1
#: Padding rule 0: repeat the last row and column up to the next multiple of 64.
PADDING_EDGE_64 = 0
MODEL_ID_BYTES = 4
CRC_BYTES = 4
#: Longest payload that is read.
LARGEST_PAYLOAD = 1 << 27


@dataclass(frozen=True)
class Header:
    """What a decoder must know before the payload.

    Attributes:
        codec_id: the stream's, see :mod:`shared.systems.catalogue`.
        model_id: first bytes of the model's id.
        width, height: of the true picture, in pixels.
        quality: the codec's level.
    """

    codec_id: int
    model_id: bytes
    width: int
    height: int
    quality: int

    def pack(self, payload_length: int) -> bytes:
        """All bytes before the checksum."""
        return (
            MAGIC
            + bytes([VERSION << 4 | PADDING_EDGE_64, self.codec_id])
            + self.model_id
            + write_varint(self.width)
            + write_varint(self.height)
            + bytes([self.quality])
            + write_varint(payload_length)
        )


def symbols_crc32c(header: bytes, symbols: Iterable[NDArray[np.int16]]) -> int:
    """CRC32C over the packed header and then each array's int16 values, little-endian, C order."""
    crc: int = google_crc32c.value(header)
    for array in symbols:
        crc = google_crc32c.extend(crc, np.ascontiguousarray(array, "<i2").tobytes())
    return crc


@dataclass(frozen=True)
class Container:
    """A parsed blob: header, checksum and payload."""

    header: Header
    crc32c: int
    payload: bytes

    @classmethod
    def seal(
        cls, header: Header, payload: bytes, symbols: Iterable[NDArray[np.int16]]
    ) -> Container:
        """Compute the checksum of what ``payload`` holds.

        Raises:
            ContainerError: the payload is over :data:`LARGEST_PAYLOAD`.
        """
        if len(payload) > LARGEST_PAYLOAD:
            raise ContainerError(f"payload is {len(payload)} bytes, at most {LARGEST_PAYLOAD}")
        return cls(header, symbols_crc32c(header.pack(len(payload)), symbols), payload)

    def to_bytes(self) -> bytes:
        """The blob."""
        packed = self.header.pack(len(self.payload))
        return packed + self.crc32c.to_bytes(CRC_BYTES, "little") + self.payload

    @classmethod
    def from_bytes(cls, blob: bytes) -> Container:
        """Parse; every limit is checked before anything is allocated for it.

        Raises:
            ContainerError: not a container, cut off, or with bytes left over.
            LimitError: a side is out of range.
        """
        if blob[:2] != MAGIC:
            raise ContainerError("not a Sidewire stream (the first two bytes are not its magic)")
        if len(blob) < 4 + MODEL_ID_BYTES:
            raise ContainerError(f"cut off in the header ({len(blob)} bytes)")
        if blob[2] >> 4 != VERSION:
            raise ContainerError(f"bitstream version {blob[2] >> 4}; this build reads {VERSION}")
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
        start = position + CRC_BYTES
        if len(blob) != start + length:
            raise ContainerError(f"{len(blob)} bytes where the header says {start + length}")
        crc = int.from_bytes(blob[position:start], "little")
        header = Header(blob[3], model_id, width, height, quality)
        return cls(header, crc, blob[start:])

    def verify(self, symbols: Iterable[NDArray[np.int16]]) -> None:
        """Check decoded symbols against the checksum.

        Raises:
            CorruptStreamError: they are not what the encoder coded, or the header was changed.
        """
        found = symbols_crc32c(self.header.pack(len(self.payload)), symbols)
        if found != self.crc32c:
            raise CorruptStreamError(
                f"checksum of header and symbols is {found:08x}, the stream says {self.crc32c:08x}"
            )
