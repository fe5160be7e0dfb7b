"""Picture files by hand, for what Pillow cannot write or would put right."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY, RGB, PALETTE, GREY_ALPHA = 0, 2, 3, 4
#: sRGB's primaries and white under D50, as ICC has them.
RED, GREEN, BLUE = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
D50 = (0.9642, 1.0, 0.8249)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An image as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with its checksum."""
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png(
    samples: NDArray[Any], depth: int = 8, colour: int = RGB, chunks: Sequence[bytes] = ()
) -> bytes:
    """A PNG with ``chunks`` between its header and its pixels; ``samples`` are (H, W) or (H, W, C)."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    if depth == 16:
        packed = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = (
            rows[..., None].astype(np.uint8) >> np.arange(depth - 1, -1, -1, dtype=np.uint8)
        ) & 1
        packed = [np.packbits(row.reshape(-1)).tobytes() for row in bits]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in packed))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def exif(orientation: int, order: str = "<", *more: bytes) -> bytes:
    """An EXIF block without its prefix: the orientation, and further entries of 12 bytes as they are."""
    entries = [struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0), *more]
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    count = struct.pack(f"{order}H", len(entries))
    return start + count + b"".join(entries) + bytes(4)


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG segment."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with segments behind its start."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def tiff(
    pages: Sequence[tuple[dict[int, tuple[int, Sequence[int]]], bytes]],
    order: str = "<",
    *,
    big: bool = False,
) -> bytes:
    """A TIFF of uncompressed pages, each its fields (tag to type and values) and its one strip."""
    letters = {1: "B", 3: "H", 4: "I", 16: "Q"}
    offset, head = ("Q", 8) if big else ("I", 4)
    out = bytearray(b"II" if order == "<" else b"MM")
    out += struct.pack(f"{order}HHH", 43, 8, 0) if big else struct.pack(f"{order}H", 42)
    link = len(out)
    out += bytes(head)
    for fields, strip in pages:
        at = len(out)
        out += strip
        whole = {**fields, 273: (4, [at]), 279: (4, [len(strip)])}
        entries = b""
        for tag, (kind, values) in sorted(whole.items()):
            value = struct.pack(f"{order}{len(values)}{letters.get(kind, 'B')}", *values)
            if len(value) > head:
                place = struct.pack(order + offset, len(out))
                out += value
                value = place
            entries += struct.pack(f"{order}HH{offset}", tag, kind, len(values))
            entries += value.ljust(head, b"\0")
        struct.pack_into(order + offset, out, link, len(out))
        out += struct.pack(f"{order}{'Q' if big else 'H'}", len(whole)) + entries
        link = len(out)
        out += bytes(head)
    return bytes(out)


def tiff_fields(
    width: int, height: int, bits: Sequence[int] = (8, 8, 8), photometric: int = 2
) -> dict[int, tuple[int, Sequence[int]]]:
    """The fields of an uncompressed page that is one strip."""
    return {
        256: (4, [width]), 257: (4, [height]), 258: (3, bits), 259: (3, [1]),
        262: (3, [photometric]), 277: (3, [len(bits)]), 278: (4, [height]),
    }  # fmt: skip


def profile(
    primaries: Sequence[Sequence[float]] | None = (RED, GREEN, BLUE),
    gamma: float = 2.2,
    padding: int = 0,
) -> bytes:
    """An ICC profile of three primaries and one gamma, or of grey where there are no primaries."""
    curve = struct.pack(">4s4xIH", b"curv", 1, round(gamma * 256))
    tags = {b"wtpt": _xyz(D50)}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for name, primary in zip(b"rgb", primaries, strict=True):
            tags[bytes([name]) + b"XYZ"] = _xyz(primary)
            tags[bytes([name]) + b"TRC"] = curve
    body, table = b"", struct.pack(">I", len(tags))
    for name, value in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(value))
        body += value.ljust(-(-len(value) // 4) * 4, b"\0")
    body += bytes(padding)
    space = b"GRAY" if primaries is None else b"RGB "
    head = struct.pack(
        ">I4sI4s4s4s12x4s28x3I", 128 + len(table) + len(body), b"none", 0x02400000, b"mntr", space,
        b"XYZ ", b"acsp", *(round(value * 65536) for value in D50),
    )  # fmt: skip
    return head.ljust(128, b"\0") + table + body


def _xyz(values: Sequence[float]) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(value * 65536) for value in values))


def iccp(data: bytes) -> bytes:
    """The PNG chunk of a profile."""
    return chunk(b"iCCP", b"p\0\0" + zlib.compress(data))
