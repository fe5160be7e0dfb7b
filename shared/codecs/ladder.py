"""The ladder: what a quality level means for the picture before g_a and behind g_s.

A level codes the picture itself, or a copy of 1/2 or 1/4 of its edges, which g_s enlarges again. Behind these
levels stand as many *preview* levels: the same ones for a copy whose longer edge is at most
:data:`PREVIEW_EDGE` pixels, so that a preview costs the same few bytes whatever the picture's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from shared.errors import QualityError
from shared.pictures import Picture

__all__ = ["PREVIEW_EDGE", "Ladder", "Rung"]

#: Longer edge of what a preview level codes, in pixels, before the level's own scale.
PREVIEW_EDGE = 256


@dataclass(frozen=True)
class Rung:
    """One level.

    Attributes:
        row: of the gains, tables and biases that it uses.
        scale: pixels of the picture's edge per pixel that is coded.
        edge: longest edge that is coded, times ``scale``; 0 for any.
    """

    row: int
    scale: int
    edge: int = 0

    def canvas(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that g_s paints, of a picture's: its own, or a preview's."""
        longer = max(height, width)
        if not self.edge or longer <= self.edge:
            return height, width
        return max(1, round(height * self.edge / longer)), max(1, round(width * self.edge / longer))

    def coded(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what g_a sees, of a picture's, before padding."""
        high, wide = self.canvas(height, width)
        return -(-high // self.scale), -(-wide // self.scale)

    def reduced(self, picture: Picture) -> Picture:
        """The copy that is coded, (h, w, 3) uint8."""
        high, wide = self.canvas(*picture.shape[:2])
        picture = _resized(picture, high, wide)
        if self.scale == 1:
            return picture
        down, right = -high % self.scale, -wide % self.scale
        padded = np.pad(picture, ((0, down), (0, right), (0, 0)), mode="edge")
        return _resized(padded, padded.shape[0] // self.scale, padded.shape[1] // self.scale)

    def enlarged(self, painted: Picture, height: int, width: int) -> Picture:
        """The picture of the true size, of what g_s painted, padding and all."""
        high, wide = self.canvas(height, width)
        return _resized(np.ascontiguousarray(painted[:high, :wide]), height, width)


def _resized(picture: Picture, height: int, width: int) -> Picture:
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(
        Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC), np.uint8
    )


@dataclass(frozen=True)
class Ladder:
    """All levels of a system, by number.

    Attributes:
        scales: one a plain level, coarsest first.
    """

    scales: tuple[int, ...]

    @classmethod
    def of(cls, levels: int, scales: Sequence[int]) -> Ladder:
        """The ladder of the first ``levels`` of a size's scales; of ones where it names none."""
        return cls(tuple(scales[:levels]) or (1,) * levels)

    @cached_property
    def rungs(self) -> tuple[Rung, ...]:
        """Plain levels, then preview levels."""
        plain = tuple(Rung(row, scale) for row, scale in enumerate(self.scales))
        return plain + tuple(Rung(one.row, one.scale, PREVIEW_EDGE) for one in plain)

    @property
    def plain(self) -> range:
        """Numbers of the plain levels."""
        return range(len(self.scales))

    @property
    def previews(self) -> range:
        """Numbers of the preview levels."""
        return range(len(self.scales), 2 * len(self.scales))

    @property
    def default(self) -> int:
        """The middle one of the levels that code the picture itself."""
        whole = [level for level in self.plain if self.scales[level] == 1]
        return whole[len(whole) // 2] if whole else len(self.scales) // 2

    def __getitem__(self, level: int) -> Rung:
        """The level of that number.

        Raises:
            QualityError: there is none.
        """
        if not 0 <= level < len(self.rungs):
            raise QualityError(f"no level {level}; there are 0 to {len(self.rungs) - 1}")
        return self.rungs[level]
