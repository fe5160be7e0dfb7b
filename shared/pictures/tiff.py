"""TIFF: the directory of its full-size image, with those fields alone that make its pixels.

Pillow sees the file with this directory written anew over the old one: it only gets shorter, and what it
points to stays where it is. Orientation and white at zero are left out of it, as they are dealt with here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from shared.errors import PictureError
from shared.pictures.stored import WIDE_WHITE, Stored

__all__ = ["STARTS", "stored_tiff"]

#: How a TIFF and a BigTIFF begin, in either byte order.
STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Most fields that are looked at, in all directories together.
MOST_FIELDS = 1 << 16

NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255
#: Bits of the former for a smaller version and for a mask, and the latter's value for a smaller version.
REDUCED, MASK, OLD_REDUCED = 1, 4, 2
BITS, PHOTOMETRIC, ORIENTATION, SAMPLES = 258, 262, 274, 277
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1
#: Grey of more bits than Pillow turns around by itself.
WIDE_BITS = (12, 16)
#: Fields that make pixels: of TIFF 6.0, its supplements, and the profile.
KEPT = frozenset(
    {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 301, 317, 320, 322, 323, 324, 325}
    | {332, 338, 339, 340, 341, 347, *range(512, 522), 529, 530, 531, 532, 34675}
)  # fmt: skip
LOOKED_AT = frozenset({NEW_SUBFILE_TYPE, SUBFILE_TYPE, BITS, PHOTOMETRIC, ORIENTATION, SAMPLES})
SHORT = 3
#: Letters of struct by type of field.
NUMBERS = {1: "B", SHORT: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True)
class _Layout:
    """Where things stand in a directory: of TIFF, or of BigTIFF."""

    order: str
    first: int
    count: str
    entry: str
    offset: str


@dataclass(frozen=True)
class _Page:
    """A directory: its place, its kept fields as they stand there, and values that are looked at."""

    place: int
    kept: dict[int, bytes]
    values: dict[int, int]

    @property
    def is_full_size(self) -> bool:
        return not (
            self.values.get(NEW_SUBFILE_TYPE, 0) & (REDUCED | MASK)
            or self.values.get(SUBFILE_TYPE) == OLD_REDUCED
        )


def stored_tiff(data: bytes) -> Stored:
    """The full-size image of a TIFF; ``data`` begins as one of :data:`STARTS`.

    Raises:
        PictureError: several pages are of full size.
    """
    order = "<" if data.startswith(b"II") else ">"
    layout = _Layout(order, 4, "H", "HHI", "I")
    if b"+" in data[2:4]:
        layout = _Layout(order, 8, "Q", "HHQ", "Q")
    pages = _pages(data, layout)
    full_size = [page for page in pages if page.is_full_size] or pages[:1]
    if len(full_size) > 1:
        raise PictureError(
            f"multi-page ({len(full_size)} full-size images in a TIFF): give a single picture"
        )
    return _only(data, layout, full_size[0]) if full_size else Stored(data)


def _pages(data: bytes, layout: _Layout) -> list[_Page]:
    pages: dict[int, _Page] = {}
    fields = 0
    try:
        (place,) = struct.unpack_from(layout.order + layout.offset, data, layout.first)
        while place and place not in pages:
            (count,) = struct.unpack_from(layout.order + layout.count, data, place)
            fields += count
            if fields > MOST_FIELDS:
                break
            pages[place], place = _page(data, layout, place, count)
    except (struct.error, OverflowError):  # a directory is beyond the file's end
        pass
    return list(pages.values())


def _page(data: bytes, layout: _Layout, place: int, count: int) -> tuple[_Page, int]:
    """The page whose directory begins at ``place``, and where the next one does."""
    size = struct.calcsize(f"={layout.entry}{layout.offset}")
    begin = place + struct.calcsize(f"={layout.count}")
    end = begin + count * size
    (following,) = struct.unpack_from(layout.order + layout.offset, data, end)
    page = _Page(place, {}, {})
    for at in range(begin, end, size):
        (tag,) = struct.unpack_from(f"{layout.order}H", data, at)
        if tag in KEPT:
            page.kept.setdefault(tag, data[at : at + size])
        if tag in LOOKED_AT:
            value = _first_value(data, layout, at)
            if value is not None:
                page.values.setdefault(tag, value)
    return page, following


def _first_value(data: bytes, layout: _Layout, place: int) -> int | None:
    """The first value of the field at ``place``, None if it is no number."""
    _tag, kind, count = struct.unpack_from(layout.order + layout.entry, data, place)
    letter = NUMBERS.get(kind)
    if letter is None or not count:
        return None
    at = place + struct.calcsize(f"={layout.entry}")
    if struct.calcsize(f"={letter}") * count > struct.calcsize(f"={layout.offset}"):
        (at,) = struct.unpack_from(layout.order + layout.offset, data, at)
    try:
        (value,) = struct.unpack_from(layout.order + letter, data, at)
    except (struct.error, OverflowError):
        return None
    return int(value)


def _only(data: bytes, layout: _Layout, page: _Page) -> Stored:
    """The file with one directory, which has the fields that are kept."""
    bits = page.values.get(BITS, 1)
    wide = page.values.get(SAMPLES, 1) == 1 and bits in WIDE_BITS
    negative = wide and page.values.get(PHOTOMETRIC) == WHITE_IS_ZERO
    kept = dict(page.kept)
    if negative:
        black_is_zero = struct.pack(
            layout.order + layout.entry + "H", PHOTOMETRIC, SHORT, 1, BLACK_IS_ZERO
        )
        kept[PHOTOMETRIC] = black_is_zero.ljust(len(kept[PHOTOMETRIC]), b"\0")
    directory = struct.pack(layout.order + layout.count, len(kept))
    directory += b"".join(kept.values()) + struct.pack(layout.order + layout.offset, 0)
    changed = bytearray(data)
    changed[page.place : page.place + len(directory)] = directory
    struct.pack_into(layout.order + layout.offset, changed, layout.first, page.place)
    return Stored(
        bytes(changed),
        orientation=page.values.get(ORIENTATION, 1),
        white=(1 << bits) - 1 if wide else WIDE_WHITE,
        negative=negative,
    )
