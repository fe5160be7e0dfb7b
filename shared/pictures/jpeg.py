"""JPEG: without the segments that make no pixels, and read whole where only its end marker is missing."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from shared.pictures.exif import EXIF_PREFIX, orientation
from shared.pictures.stored import Stored, opened

__all__ = ["START", "decode_jpeg", "stored_jpeg"]

START = b"\xff\xd8"
END = b"\xff\xd9"
APP0, APP1, APP2, APP14, APP15, COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
SCAN = 0xDA
#: How a part of a profile begins, before its number and how many there are.
PROFILE_PREFIX = b"ICC_PROFILE\0"
PROFILE_HEAD = len(PROFILE_PREFIX) + 2
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Coefficients of a block.
BLOCK = 64
#: A marker in a scan that ends it: no stuffed byte, restart or fill byte.
AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
#: What stands in the place of missing data: bits that no decoder reads as the zeros it takes for them.
OTHER_BITS = b"\xaa" * 64
#: Two ways to go on where a file stops; the second goes on with each restart that may be the next.
TAILS = (
    END,
    OTHER_BITS + b"".join(bytes((0xFF, 0xD0 + number)) + OTHER_BITS for number in range(8)) + END,
)


def stored_jpeg(data: bytes) -> Stored:
    """A JPEG without comments and application data, except what Pillow needs for its colours."""
    parts: list[memoryview] = [memoryview(START)]
    exif = None
    end = len(START)
    for marker, body, end in _segments(data):
        whole = memoryview(data)[end - len(body) - 4 : end]
        if marker == APP1 and exif is None and body.startswith(EXIF_PREFIX):
            exif = body
        profile = marker == APP2 and body.startswith(PROFILE_PREFIX) and len(body) > PROFILE_HEAD
        if marker in {APP0, APP14} or profile or not (APP0 <= marker <= APP15 or marker == COMMENT):
            parts.append(whole)
    parts.append(memoryview(data)[end:])
    return Stored(b"".join(parts), orientation=orientation(exif))


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, content and end of each segment before the first scan, as far as they are well-formed."""
    place = len(START)
    while place + 4 <= len(data):
        while data[place : place + 2] == b"\xff\xff":  # fill bytes
            place += 1
        head = data[place : place + 4].ljust(4, b"\0")
        fill, marker, size = struct.unpack(">BBH", head)
        end = place + 2 + size
        if fill != 0xFF or marker < 0xC0 or marker == SCAN or size < 2 or end > len(data):
            return
        yield marker, data[place + 4 : end], end
        place = end


def decode_jpeg(data: bytes) -> Image.Image:
    """The image of a JPEG, its pixels read.

    One that lacks no more than its end marker is whole. That is so if what follows changes nothing: it is
    decoded with two ends that give any missing block other pixels.

    Raises:
        LimitError: a side is too long. OSError: data is missing, or damaged. Others, as Pillow's decoder
        raises nearly anything.
    """
    if data.endswith(END):
        return _decoded(data)
    seen = _walk(data)
    if seen.ended:
        return _decoded(data)
    if seen.complete:
        cut = _without_padding(data)
        first, second = (_decoded(cut + tail) for tail in TAILS)
        if first.tobytes() == second.tobytes():
            return first
    raise OSError("image file is truncated")


def _decoded(data: bytes) -> Image.Image:
    image = opened(data)
    image.load()
    return image


def _without_padding(data: bytes) -> bytes:
    """A file without the zeros or ones that fill it up: a decoder would read them as pixels."""
    cut = data.rstrip(b"\x00\xff")
    stuffed = re.match(rb"(?:\xff\x00)*", data[len(cut) :])
    return cut + (stuffed[0] if stuffed else b"")


class _Seen(NamedTuple):
    """What a file has: its end marker, and scans for every coefficient of every component to its last bit.

    A progressive file that was cut between two scans is not complete.
    """

    ended: bool
    complete: bool


def _walk(data: bytes) -> _Seen:
    needed: set[tuple[int, int]] = {(-1, -1)}
    place = len(START)
    while found := AFTER_SCAN.search(data, place):
        place = found.start()
        marker = data[place + 1]
        size = int.from_bytes(data[place + 2 : place + 4])
        body = data[place + 4 : place + 2 + size]
        if marker == END[1]:
            return _Seen(True, not needed)
        if marker in FRAMES:
            needed = {(one, index) for one in body[6::3] for index in range(BLOCK)}
        elif marker == SCAN and body:
            first, last, bits = body[-3:].ljust(3, b"\0")
            if not bits & 0x0F:
                components = body[1 : 1 + 2 * body[0] : 2]
                indices = range(first, min(last + 1, BLOCK))
                needed -= {(one, index) for one in components for index in indices}
        place += 2 + size
    return _Seen(False, not needed)
