"""Who tells of a picture: what came with it, and where that is silent what is found in the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from shared.captioner import CaptionerError
from shared.pictures import Picture
from shared.telling.describer import Describer
from shared.telling.grounder import Grounder
from shared.telling.telling import Telling

__all__ = ["Teller"]


class Teller:
    """Says what is in a picture and where; who helps is loaded when first asked.

    Args:
        describer, grounder: make those who find words and places.
    """

    def __init__(
        self, describer: Callable[[], Describer], grounder: Callable[[], Grounder]
    ) -> None:
        self._make_describer, self._make_grounder = describer, grounder

    @cached_property
    def describer(self) -> Describer:
        """Who finds words."""
        return self._make_describer()

    @cached_property
    def grounder(self) -> Grounder:
        """Who finds places."""
        return self._make_grounder()

    def tell(self, picture: Picture, said: str | None, *, items: bool) -> Telling:
        """The telling of a picture.

        Args:
            said: what came with it: a description, or a whole telling (:meth:`Telling.of_text`).
            items: items are wanted, with their places.

        Raises:
            TellingError: what came is no telling.
        """
        given = Telling.of_text(said)
        if not items:
            if given.description:
                return Telling(given.description)
            return Telling(self._described(picture, None).description)
        if not given.items:
            given = self._described(picture, given.description or None)
        lost = [place for place, item in enumerate(given.items) if item.map is None]
        if not lost:
            return given
        found = self.grounder.ground(picture, [given.items[place].name for place in lost])
        shapes = {item.map.shape for item in given.items if item.map is not None}
        if (
            shapes and found[0].shape not in shapes
        ):  # those given are of another shape: none is found
            return given
        own = list(given.items)
        for place, where in zip(lost, found, strict=True):
            own[place] = replace(own[place], map=where)
        return Telling(given.description, tuple(own))

    def _described(self, picture: Picture, said: str | None) -> Telling:
        try:
            return self.describer.describe(picture, said)
        except CaptionerError:
            return Telling(said or "")
