"""A picture coded in overlapping blocks, each a stream of its own, and blended where they overlap.

What one does whose codec cannot work in windows (Jiang et al.'s reproduction, on blocks): the stride is
smaller than the block, and the last block is shifted back to the edge. Here it is the yardstick of
:mod:`shared.networks.tiling`, whose windows meet without a seam and cost no bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.codecs import Codec
from shared.errors import LimitError
from shared.pictures import Picture

__all__ = ["Blocks", "InBlocks", "code_in_blocks"]


@dataclass(frozen=True)
class Blocks:
    """How a picture is cut.

    Attributes:
        side: of a block, in pixels.
        overlap: of neighbours, in pixels, less than ``side``.

    Raises:
        LimitError: the overlap is not below the side.
    """

    side: int
    overlap: int

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.side:
            raise LimitError("overlap of blocks in pixels", self.overlap, self.side - 1)

    def spans(self, length: int) -> list[slice]:
        """The blocks along an edge of ``length`` pixels; the last ends with it."""
        last = max(0, length - self.side)
        starts = [*range(0, last, self.side - self.overlap), last]
        return [slice(start, min(start + self.side, length)) for start in starts]

    def borders(self, length: int) -> list[int]:
        """The first pixel behind each border along an edge of ``length`` pixels."""
        spans = self.spans(length)
        return sorted({edge for s in spans for edge in (s.start, s.stop) if 0 < edge < length})

    def of(self, height: int, width: int) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each block."""
        columns = self.spans(width)
        return ((rows, column) for rows in self.spans(height) for column in columns)

    def weights(self, span: slice, length: int) -> NDArray[np.float32]:
        """How much a block counts along an edge: it fades over overlaps, not at the ends."""
        count = span.stop - span.start
        ramp = np.arange(1, self.overlap + 1, dtype=np.float32) / (self.overlap + 1)
        found = np.ones(count, np.float32)
        if span.start > 0:
            found[: self.overlap] = ramp
        if span.stop < length:
            found[count - self.overlap :] *= ramp[::-1]
        return found


@dataclass(frozen=True)
class InBlocks:
    """What comes of it; ``bytes`` are those of all the blocks' streams."""

    picture: Picture
    bytes: int


def code_in_blocks(codec: Codec, picture: Picture, quality: int, blocks: Blocks) -> InBlocks:
    """Encode and decode each block by itself; where several have a pixel, their weighted mean stands.

    Raises:
        QualityError, PictureError, LimitError: see :class:`shared.codecs.Encoder`.
    """
    height, width = picture.shape[:2]
    total = np.zeros((height, width, 3), np.float32)
    weight = np.zeros((height, width, 1), np.float32)
    size = 0
    for rows, columns in blocks.of(height, width):
        encoded = codec.encode(np.ascontiguousarray(picture[rows, columns]), quality)
        size += encoded.counted
        own = np.outer(blocks.weights(rows, height), blocks.weights(columns, width))[..., None]
        total[rows, columns] += own * codec.decode(encoded.blob).picture
        weight[rows, columns] += own
    return InBlocks(np.rint(total / weight).astype(np.uint8), size)
