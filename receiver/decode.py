"""A container file becomes a picture file."""

from __future__ import annotations

from pathlib import Path

from shared.bitstream.container import Container
from shared.codecs.interface import Codec, Decoded
from shared.errors import SidewireError
from shared.pictures import write_picture

__all__ = ["decode_file", "read_stream"]


def read_stream(path: Path) -> bytes:
    """The bytes of a stream file.

    Raises:
        SidewireError: it cannot be read or is empty. ContainerError, LimitError: it is not a stream.
    """
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise SidewireError(f"cannot read {path}: {error.strerror}") from None
    if not blob:
        raise SidewireError(f"{path} is empty (0 bytes)")
    Container.from_bytes(blob)
    return blob


def decode_file(source: Path, target: Path, codec: Codec) -> Decoded:
    """Read ``source``, check and decompress it, write ``target`` whole or not at all.

    Raises:
        SidewireError: what is wrong with the stream or the place.
    """
    decoded = codec.decode(read_stream(source))
    write_picture(target, decoded.picture)
    return decoded
