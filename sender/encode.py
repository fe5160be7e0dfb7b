"""A picture file becomes a container file."""

from __future__ import annotations

from pathlib import Path

from shared.codecs.interface import Codec, Encoded
from shared.pictures import read_picture, write_atomically

__all__ = ["encode_file"]


def encode_file(source: Path, target: Path, codec: Codec, quality: int) -> Encoded:
    """Read ``source``, compress it, write ``target`` whole or not at all.

    Raises:
        SidewireError: what is wrong with the picture, the quality or the place.
    """
    encoded = codec.encode(read_picture(source), quality)
    write_atomically(target, encoded.blob)
    return encoded
