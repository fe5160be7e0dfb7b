"""AVIF: without the EXIF that Pillow would parse whole. What turns the picture is a property of its image."""

from __future__ import annotations

import re

from shared.pictures.stored import Stored

__all__ = ["BRANDS", "stored_avif"]

#: The box that begins a still AVIF or a sequence, behind its four bytes of length.
BRANDS = (b"ftypavif", b"ftypavis")
#: An item's entry in the list of items (box ``infe``): version 2 or 3, flags, number, protection, type.
EXIF_ITEM = re.compile(rb"(infe\x02.{3}.{2}.{2}|infe\x03.{3}.{4}.{2})Exif", re.DOTALL)
#: A type of item that nobody knows.
UNKNOWN = rb"\1none"


def stored_avif(data: bytes) -> Stored:
    """An AVIF whose EXIF item is of no known type; ``data`` has one of :data:`BRANDS` at 4."""
    return Stored(EXIF_ITEM.sub(UNKNOWN, data))
