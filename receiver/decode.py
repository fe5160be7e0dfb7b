"""A container file becomes a picture file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import SidewireError
from shared.pictures import write_picture

if TYPE_CHECKING:
    from shared.codecs import Decoded, Decoder

__all__ = ["decode_to_file", "read_stream"]


def read_stream(path: Path) -> bytes:
    """The bytes of a stream file.

    Raises:
        SidewireError: it cannot be read or is empty.
    """
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise SidewireError(f"cannot read {path}: {error.strerror}") from None
    if not blob:
        raise SidewireError(f"{path} is empty (0 bytes)")
    return blob


def decode_to_file(
    blob: bytes, target: Path, decoder: Decoder, caption: str | None = None
) -> Decoded:
    """Check and decompress a stream with what is said of it, write ``target`` whole or not at all.

    Raises:
        SidewireError: what is wrong with the stream or the place.
    """
    decoded = decoder.decode(blob, caption)
    write_picture(target, decoded.picture)
    return decoded
