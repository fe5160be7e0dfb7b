"""The container: one self-describing blob a picture, the same in a file and on the wire.

Two forms (docs/protocol.md says both byte for byte). The long one carries everything::

    "S" 0xD7 | version, padding rule | codec id | model id (4)
    width | height | quality | payload length      varints, but quality one byte
    CRC32C (4) over all of the above and the decoded symbols
    payload

A 768x512 picture pays 19 or 20 bytes beyond its payload in it, and 6 in the short one
(:mod:`shared.bitstream.short_form`), which small payloads get. Its check is 24 bits of such a checksum,
and lies within the payload, below the symbols.

The checksum covers what was *decoded*, so that a wrong table, a foreign machine or a changed header is
found out, also when the payload decodes without complaint. Of what is wrong, the long form's 32 bits let
one in four billion pass, the short form's 24 bits one in sixteen million.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
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
    """How a header is written, and where its check stands."""

    LONG = "long"
    SHORT = "short"


def symbols_crc32c(header: bytes, symbols: Sequence[NDArray[np.int16]]) -> int:
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
        check: the long form's checksum of header and symbols. None in the short form, whose payload holds it.
        payload: as the entropy coder wrote it.
    """

    header: Header
    check: int | None
    payload: bytes

    @classmethod
    def seal(
        cls,
        header: Header,
        symbols: Sequence[NDArray[np.int16]],
        compress: Callable[[int], bytes],
    ) -> Container:
        """Compress symbols under a header, in the short form wherever that can be.

        Args:
            header: with the whole model id.
            compress: a word -> the payload of the symbols with it at the bottom. The check is put there only
                where the payload without it is short, so that large pictures are compressed once.

        Raises:
            ContainerError: the payload is over :data:`LARGEST_PAYLOAD`.
        """
        payload = compress(0)
        if len(payload) > LARGEST_PAYLOAD:
            raise ContainerError(f"payload is {len(payload)} bytes, at most {LARGEST_PAYLOAD}")
        if short_form.carries(header, payload):
            check = short_form.check_of(symbols_crc32c(header.pack(0), symbols))
            checked = compress(check)
            if short_form.carries(header, checked):
                prefix = header.model_id[: short_form.MODEL_PREFIX_BYTES]
                return cls(replace(header, model_id=prefix), None, checked)
        return cls(header, symbols_crc32c(header.pack(len(payload)), symbols), payload)

    @property
    def form(self) -> Form:
        """Where the check stands says it."""
        return Form.SHORT if self.check is None else Form.LONG

    @property
    def stored(self) -> bytes:
        """The payload as it stands in the blob: the short form leaves out its last zero bytes."""
        return short_form.stripped(self.payload) if self.form is Form.SHORT else self.payload

    def to_bytes(self) -> bytes:
        """The blob."""
        if self.check is None:
            return short_form.pack(self.header) + self.stored
        packed = self.header.pack(len(self.payload))
        return packed + self.check.to_bytes(CRC_BYTES, "little") + self.stored

    @classmethod
    def from_bytes(cls, blob: bytes) -> Container:
        """Parse; every limit is checked before anything is allocated for it.

        Raises:
            ContainerError: not a container, cut off, or with bytes left over.
            LimitError: a side is out of range.
        """
        if short_form.begins(blob):
            short, payload = short_form.unpack(blob)
            return cls(short, None, payload)
        header, length, position = Header.unpack(blob)
        start = position + CRC_BYTES
        if len(blob) != start + length:
            raise ContainerError(f"{len(blob)} bytes where the header says {start + length}")
        check = int.from_bytes(blob[position:start], "little")
        return cls(header, check, blob[start:])

    def verify(self, symbols: Sequence[NDArray[np.int16]], model_id: bytes, bottom: int) -> int:
        """Check what was decoded; the CRC32C of header and symbols, all of it in either form.

        Args:
            model_id: the whole id of the model that decoded them.
            bottom: what lay below the symbols.

        Raises:
            CorruptStreamError: they are not what the encoder coded, or the header was changed, or it was
            another model's encoder.
        """
        whole = replace(self.header, model_id=model_id)
        if self.check is None:
            crc = symbols_crc32c(whole.pack(0), symbols)
            found, said = short_form.check_of(crc), bottom
        elif bottom:
            raise CorruptStreamError("the payload does not end where its symbols do")
        else:
            found = crc = symbols_crc32c(whole.pack(len(self.payload)), symbols)
            said = self.check
        if found != said:
            raise CorruptStreamError(
                f"checksum of header and symbols is {found:#x}, the stream says {said:#x}"
            )
        return crc
