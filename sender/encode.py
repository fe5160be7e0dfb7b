"""A picture file becomes a container file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sender.captioning import Told, told_of
from shared.captioner import Captioner
from shared.codecs import AnyEncoder, Encoded
from shared.codecs.fitting import Wanted, encode_wanted
from shared.pictures import read_picture, write_atomically

__all__ = ["EncodedFile", "encode_file"]


@dataclass(frozen=True)
class EncodedFile:
    """A stream that was written, its level, and what its encoder was told."""

    level: int
    encoded: Encoded
    told: Told


def encode_file(
    source: Path,
    target: Path,
    encoder: AnyEncoder,
    wanted: Wanted,
    caption: str | None = None,
    captioner: Captioner | None = None,
) -> EncodedFile:
    """Read ``source``, compress it, write ``target`` whole or not at all; a blind encoder hears no caption.

    Args:
        captioner: is asked where there is no caption.

    Raises:
        SidewireError: what is wrong with the picture, the quality, the size or the place.
    """
    picture = read_picture(source)
    told = told_of(picture, caption, captioner)
    level, encoded = encode_wanted(encoder, picture, wanted, told.caption)
    write_atomically(target, encoded.blob)
    return EncodedFile(level, encoded, told)
