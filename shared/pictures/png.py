"""PNG: the chunks that make its pixels, and profile, gamma, orientation and transparent sample from others.

Texts are passed over packed as they are, so their size costs nothing. As in browsers, a chunk that is no
part of the pixels counts only with a right checksum, and cannot fail the picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from shared.pictures.exif import orientation
from shared.pictures.stored import LARGEST_PROFILE, Stored

__all__ = ["SIGNATURE", "stored_png"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Chunks beside the critical ones that Pillow sees: those of animations, to know them.
ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
#: Chunks that are read here.
READ = frozenset({b"iCCP", b"sRGB", b"cICP", b"gAMA", b"eXIf", b"tRNS"})
GREY, RGB, PALETTE = 0, 2, 3
#: How far a gamma may be from that of screens (1/2.2) without being another, as libpng has it.
SCREEN_GAMMA = 1 / 2.2
GAMMA_TOLERANCE = 0.05
#: A gamma farther from 1 than this says nothing.
LARGEST_GAMMA = 10.0


def stored_png(data: bytes) -> Stored:
    """A PNG's pixels and what is seen of them; ``data`` begins with :data:`SIGNATURE`."""
    parts: list[bytes | memoryview] = [SIGNATURE]
    found: dict[bytes, bytes] = {}
    depth, colour = 8, RGB
    for kind, body, whole in _chunks(data):
        if kind == b"IHDR" and len(body) == 13:
            depth, colour = body[8], body[9]
        for_pillow = kind in ANIMATION or (kind == b"tRNS" and colour == PALETTE)
        if _critical(kind) or (for_pillow and _intact(kind, body, whole)):
            parts.append(whole)
        elif kind in READ and kind not in found and _intact(kind, body, whole):
            found[kind] = bytes(body)
    return Stored(
        b"".join(parts),
        orientation=orientation(found.get(b"eXIf")),
        profile=_profile(found.get(b"iCCP", b"")),
        gamma=_gamma(found),
        clear=_clear(found.get(b"tRNS", b""), colour, depth),
        clear_depth=depth,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Kind, content and whole of each chunk; the last may be cut off."""
    view = memoryview(data)
    place = len(SIGNATURE)
    kind = b""
    while kind != b"IEND" and place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + size
        yield kind, view[place + 8 : place + 8 + size], view[place:end]
        place = end


def _critical(kind: bytes) -> bool:
    return not kind[0] & 0x20


def _intact(kind: bytes, body: memoryview, whole: memoryview) -> bool:
    return bytes(whole[8 + len(body) :]) == struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _profile(chunk: bytes) -> bytes:
    """The profile of an iCCP chunk, empty if there is none, it is damaged or too large."""
    _name, _, packed = chunk.partition(b"\0")
    unpacking = zlib.decompressobj()
    try:
        profile = unpacking.decompress(packed[1:], LARGEST_PROFILE)
    except zlib.error:
        return b""
    return profile if unpacking.eof else b""


def _gamma(found: dict[bytes, bytes]) -> float | None:
    if found.keys() & {b"iCCP", b"sRGB", b"cICP"} or len(found.get(b"gAMA", b"")) != 4:
        return None
    gamma = int.from_bytes(found[b"gAMA"]) / 100_000
    if not 1 / LARGEST_GAMMA <= gamma <= LARGEST_GAMMA:
        return None
    return gamma if abs(gamma / SCREEN_GAMMA - 1) > GAMMA_TOLERANCE else None


def _clear(chunk: bytes, colour: int, depth: int) -> tuple[int, ...] | None:
    channels = {GREY: 1, RGB: 3}.get(colour)
    if channels is None or len(chunk) != 2 * channels:
        return None
    return tuple(value & (1 << depth) - 1 for value in struct.unpack(f">{channels}H", chunk))
