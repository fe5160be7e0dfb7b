"""The container: one self-describing blob a picture, the same in a file and on the wire.

Two forms (docs/protocol.md says both byte for byte). The long one carries everything::

    "S" 0xD7 | version, padding rule | codec id | model id (4)
    width | height | quality | payload length      varints, but quality one byte
    CRC32C (4) over all of the above and the decoded symbols
    payload

A 768x512 picture pays 19 or 20 bytes beyond its payload in it, and 8 in the short one
(:mod:`shared.bitstream.short_form`), which small payloads get. It keeps 16 bits of the same checksum.

The checksum covers what was *decoded*, so that a wrong table, a foreign machine or a changed header is
found out, also when the payload decodes without complaint. Of what is wrong, the long form's 32 bits let
one in four billion pass, the short form's 16 bits one in 65,536.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from shared.bitstream import short_form
from shared.bitstream.header import LARGEST_PAYLOAD, Header
from shared.errors import ContainerError, CorruptStreamError

__all__ = ["BITSTREAM_VERSION", "Container", "Form", "symbols_crc32c"]

#: What this build reads and writes, in a word for receivers and senders: version 1 had no short form.
BITSTREAM_VERSION = 2
CRC_BYTES = 4


class Form(enum.Enum):
    """How a header and its check are written."""

    LONG = "long"
    SHORT = "short"

    @property
    def check_bytes(self) -> int:
        """The length of the check."""
        return short_form.CHECK_BYTES if self is Form.SHORT else CRC_BYTES

    def check_of(self, crc32c: int) -> int:
        """The lowest bits of a checksum, as many as the form keeps."""
        return crc32c & (1 << 8 * self.check_bytes) - 1

    def shown(self, check: int) -> str:
        """A check in hexadecimal digits."""
        return f"{check:0{2 * self.check_bytes}x}"


def symbols_crc32c(header: bytes, symbols: Iterable[NDArray[np.int16]]) -> int:
    """CRC32C over the packed header and then each array's int16 values, little-endian, C order."""
    crc: int = google_crc32c.value(header)
    for array in symbols:
        crc = google_crc32c.extend(crc, np.ascontiguousarray(array, "<i2").tobytes())
    return crc


@dataclass(frozen=True)
class Container:
    """A blob's parts, as they stand in it.

    Attributes:
        header: with as much of the model's id as the form keeps.
        check: the lowest bits of the checksum of header and symbols, as many as the form keeps.
        payload: as the entropy coder wrote it.
    """

    header: Header
    check: int
    payload: bytes
    form: Form = Form.LONG

    @classmethod
    def seal(
        cls, header: Header, payload: bytes, symbols: Iterable[NDArray[np.int16]]
    ) -> Container:
        """Compute the checksum of what ``payload`` holds; the form is short wherever that can be.

        Args:
            header: with the whole model id.

        Raises:
            ContainerError: the payload is over :data:`LARGEST_PAYLOAD`.
        """
        if len(payload) > LARGEST_PAYLOAD:
            raise ContainerError(f"payload is {len(payload)} bytes, at most {LARGEST_PAYLOAD}")
        crc = symbols_crc32c(header.pack(len(payload)), symbols)
        if not short_form.carries(header, payload):
            return cls(header, crc, payload)
        prefix = header.model_id[: short_form.MODEL_PREFIX_BYTES]
        kept = replace(header, model_id=prefix)
        return cls(kept, Form.SHORT.check_of(crc), payload, Form.SHORT)

    @property
    def stored(self) -> bytes:
        """The payload as it stands in the blob: the short form leaves out its last zero bytes."""
        return short_form.stripped(self.payload) if self.form is Form.SHORT else self.payload

    def to_bytes(self) -> bytes:
        """The blob."""
        if self.form is Form.SHORT:
            packed = short_form.pack(self.header)
        else:
            packed = self.header.pack(len(self.payload))
        return packed + self.check.to_bytes(self.form.check_bytes, "little") + self.stored

    @classmethod
    def from_bytes(cls, blob: bytes) -> Container:
        """Parse; every limit is checked before anything is allocated for it.

        Raises:
            ContainerError: not a container, cut off, or with bytes left over.
            LimitError: a side is out of range.
        """
        if short_form.begins(blob):
            return cls(*short_form.unpack(blob), Form.SHORT)
        header, length, position = Header.unpack(blob)
        start = position + Form.LONG.check_bytes
        if len(blob) != start + length:
            raise ContainerError(f"{len(blob)} bytes where the header says {start + length}")
        check = int.from_bytes(blob[position:start], "little")
        return cls(header, check, blob[start:])

    def verify(self, symbols: Iterable[NDArray[np.int16]], model_id: bytes) -> int:
        """Check decoded symbols; the CRC32C of header and symbols, all of it in either form.

        Args:
            model_id: the whole id of the model that decoded them.

        Raises:
            CorruptStreamError: they are not what the encoder coded, or the header was changed, or it was
            another model's encoder.
        """
        whole = replace(self.header, model_id=model_id)
        crc = symbols_crc32c(whole.pack(len(self.payload)), symbols)
        form, found = self.form, self.form.check_of(crc)
        if found != self.check:
            raise CorruptStreamError(
                f"checksum of header and symbols is {form.shown(found)},"
                f" the stream says {form.shown(self.check)}"
            )
        return crc
