"""Who says where in a picture things are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from shared.pictures import Picture
from shared.telling.telling import LEAST_SIDE, MOST_SIDE, ItemMap

__all__ = ["Grounder", "map_shape"]


def map_shape(height: int, width: int) -> tuple[int, int]:
    """Sides of a map of a picture: the longer one is 16, the shorter one in proportion, 8 at least."""
    longer = max(height, width)
    sides = (max(LEAST_SIDE, round(MOST_SIDE * side / longer)) for side in (height, width))
    rows, columns = sides
    return rows, columns


class Grounder(ABC):
    """Finds the places of things. Not safe to share between threads."""

    @abstractmethod
    def ground(self, picture: Picture, names: Sequence[str]) -> list[ItemMap]:
        """A map for each name, of the shape that :func:`map_shape` gives a picture (H, W, 3) uint8.

        The same arguments always give the same maps. Each marks one place at least.
        """
