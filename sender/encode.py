"""A picture file becomes a container file."""

from __future__ import annotations

from pathlib import Path

from shared.codecs import AnyEncoder, Encoded, encode
from shared.pictures import read_picture, write_atomically

__all__ = ["encode_file"]


def encode_file(
    source: Path, target: Path, encoder: AnyEncoder, quality: int, caption: str | None = None
) -> Encoded:
    """Read ``source``, compress it, write ``target`` whole or not at all; a blind encoder hears no caption.

    Raises:
        SidewireError: what is wrong with the picture, the quality or the place.
    """
    encoded = encode(encoder, read_picture(source), quality, caption)
    write_atomically(target, encoded.blob)
    return encoded
