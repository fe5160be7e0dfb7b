"""Tiny copies: the picture at a few pixels as a file, which a page stretches to its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.codecs.baselines.files import file_of, open_file
from shared.codecs.baselines.placeholder import Placeholder, enlarged, reduced
from shared.pictures import Picture

__all__ = ["COPIES", "Copy", "CopyFormat"]


@dataclass(frozen=True)
class CopyFormat:
    """How copies are written.

    Attributes:
        name: of the codec.
        format: Pillow's name of the file format.
        sides: levels, coarsest first: pixels of the longer edge.
        options: ``Image.save``'s arguments.
    """

    name: str
    format: str
    sides: tuple[int, ...]
    options: Mapping[str, object]


COPIES = (
    CopyFormat(
        "baseline/webp-copy",
        "WEBP",
        (8, 16, 24, 32, 40, 48, 56, 64, 80, 96),
        {"quality": 0, "method": 6},
    ),
    CopyFormat(
        "baseline/avif-copy",
        "AVIF",
        # Some 300 bytes of a file are boxes: a smaller copy saves next to nothing.
        (32, 64),
        # Quality 0 saves three bytes of a file at most.
        {"quality": 5, "speed": 4, "subsampling": "4:2:0"},
    ),
)


class Copy(Placeholder):
    """A small copy in a file format; a picture that is smaller yet is copied as it is."""

    def __init__(self, settings: CopyFormat) -> None:
        self.settings = settings
        self.name = settings.name
        self.qualities = settings.sides

    def written(self, picture: Picture, quality: int) -> bytes:
        """See :meth:`Placeholder.written`."""
        return file_of(reduced(picture, quality), self.settings.format, self.settings.options)

    def drawn(self, native: bytes, width: int, height: int) -> Picture:
        """See :meth:`Placeholder.drawn`."""
        with open_file(native, self.settings.format) as image:
            # Before memory is taken for the pixels.
            if max(image.size) > self.qualities[-1]:
                raise ValueError(f"{image.width}x{image.height} is too large for a copy")
            return enlarged(image, width, height)
