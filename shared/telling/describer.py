"""Who says what is in a picture."""

from __future__ import annotations

from abc import ABC, abstractmethod

from shared.pictures import Picture
from shared.telling.telling import Telling

__all__ = ["Describer"]


class Describer(ABC):
    """Finds words for pictures. Not safe to share between threads."""

    @abstractmethod
    def describe(self, picture: Picture, said: str | None = None) -> Telling:
        """A description of a picture (H, W, 3) uint8, and its items, which have no maps yet.

        The same arguments always give the same telling.

        Args:
            said: a caption that came with the picture, which is then the description, cut to its limit;
                None or "" for none.
        """
