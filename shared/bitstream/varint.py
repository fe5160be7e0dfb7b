"""Unsigned LEB128 in its shortest form: seven bits a byte, the lowest first."""

from __future__ import annotations

from shared.errors import ContainerError

__all__ = ["read_varint", "write_varint"]

#: Longest varint that is read: 28 bits, beyond every limit of the container.
MAX_BYTES = 4


def write_varint(value: int) -> bytes:
    """Encode ``0 <= value < 2**28``."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, position: int, what: str) -> tuple[int, int]:
    """Decode at ``position``; returns the value and the position behind it.

    Raises:
        ContainerError: cut off, too long, or not in the shortest form (``what`` names the field).
    """
    value = 0
    for count in range(MAX_BYTES):
        if position + count >= len(data):
            raise ContainerError(f"cut off in {what}")
        byte = data[position + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if byte == 0 and count > 0:
                raise ContainerError(f"{what} is not in its shortest form")
            return value, position + count + 1
    raise ContainerError(f"{what} takes more than {MAX_BYTES} bytes")
