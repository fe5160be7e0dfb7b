"""A telling: a description of a picture and up to three of its items, each with a name, a detail and a map.

The limits are MISC's (Li et al., section III.B-C): a description of 50 words, at most three items, a name of
three words, a detail of ten, a map of 8x8 to 16x16. Bytes are limited besides, so that no text makes a reader
allocate more than a few hundred of them. A text here has single spaces and no control characters, whatever
version of Unicode a machine knows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import SidewireError
from shared.text.cleaning import clean

__all__ = [
    "DESCRIPTION",
    "DETAIL",
    "LEAST_SIDE",
    "MOST_ITEMS",
    "MOST_SIDE",
    "NAME",
    "Item",
    "ItemMap",
    "Telling",
    "TellingError",
    "TextLimit",
    "clipped_text",
]

#: (h, w): where an item is in the picture.
ItemMap = NDArray[np.bool_]

MOST_ITEMS = 3
#: Sides of a map.
LEAST_SIDE, MOST_SIDE = 8, 16
#: Longer texts are plain words, whatever they look like: 3 maps and all texts as JSON take half of it.
LONGEST_JSON = 8 << 10


class TellingError(SidewireError):
    """What should be told of a picture is beyond a limit, or is not what it should be.

    Attributes:
        field: which part, such as ``items.1.name``.
        value: what it is.
        limit: what it must be.
    """

    def __init__(self, field: str, value: str, limit: str) -> None:
        super().__init__(field, value, limit)
        self.field, self.value, self.limit = field, value, limit

    def __str__(self) -> str:
        return f"telling's {self.field} is {self.value}, must be {self.limit}"


@dataclass(frozen=True)
class TextLimit:
    """How long a text may be, in words (what single spaces part) and in bytes of UTF-8."""

    words: int
    octets: int


DESCRIPTION = TextLimit(50, 512)
NAME = TextLimit(3, 64)
DETAIL = TextLimit(10, 160)


def _check_text(field: str, text: str, limit: TextLimit) -> None:
    try:
        octets = len(text.encode())
    except UnicodeEncodeError:
        raise TellingError(field, "a text with half a surrogate pair", "Unicode") from None
    if octets > limit.octets:
        raise TellingError(field, f"{octets} bytes", f"at most {limit.octets}")
    if any(character < " " or character == "\x7f" for character in text):
        raise TellingError(field, "a text with control characters", "without any")
    words = text.split(" ") if text else []
    if not all(words):
        raise TellingError(field, "a text with spaces in excess", "words with single spaces")
    if len(words) > limit.words:
        raise TellingError(field, f"{len(words)} words", f"at most {limit.words}")


def clipped_text(text: str | None, limit: TextLimit) -> str:
    """Any string, cleaned as captions are, and cut behind the last word that the limit lets in."""
    words = clean(text).text.split(" ")[: limit.words]
    while len(words) > 1 and len(" ".join(words).encode()) > limit.octets:
        words.pop()
    return " ".join(words).encode()[: limit.octets].decode(errors="ignore")


@dataclass(frozen=True, eq=False)
class Item:
    """One thing in a picture.

    Attributes:
        name: at most 3 words, at least one.
        detail: at most 10 words on its looks; "" for none.
        map: (h, w) bool, read-only, sides of 8 to 16: the places that it takes; None where nobody knows.

    Raises:
        TellingError: one of them is not so.
    """

    name: str
    detail: str = ""
    map: ItemMap | None = None

    def __post_init__(self) -> None:
        _check_text("name", self.name, NAME)
        _check_text("detail", self.detail, DETAIL)
        if not self.name:
            raise TellingError("name", "empty", "one word at least")
        if self.map is None:
            return
        if self.map.ndim != 2 or self.map.dtype != np.bool_:
            raise TellingError(
                "map", f"{self.map.dtype} of {self.map.ndim} dimensions", "bool of two"
            )
        if not all(LEAST_SIDE <= side <= MOST_SIDE for side in self.map.shape):
            height, width = self.map.shape
            raise TellingError("map", f"{height}x{width}", f"sides {LEAST_SIDE} to {MOST_SIDE}")
        kept = self.map.copy()
        kept.setflags(write=False)
        object.__setattr__(self, "map", kept)

    @property
    def _key(self) -> tuple[Any, ...]:
        place = None if self.map is None else (self.map.shape, self.map.tobytes())
        return self.name, self.detail, place

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@dataclass(frozen=True)
class Telling:
    """All that is told of one picture; nothing, by default.

    Attributes:
        description: of the whole, at most 50 words.
        items: at most three; those maps that there are have one shape.

    Raises:
        TellingError: one of them is not so.
    """

    description: str = ""
    items: tuple[Item, ...] = ()

    def __post_init__(self) -> None:
        _check_text("description", self.description, DESCRIPTION)
        if len(self.items) > MOST_ITEMS:
            raise TellingError("items", f"{len(self.items)} items", f"at most {MOST_ITEMS}")
        shapes = sorted({item.map.shape for item in self.items if item.map is not None})
        if len(shapes) > 1:
            named = " and ".join(f"{height}x{width}" for height, width in shapes)
            raise TellingError("items", f"maps of {named}", "maps of one shape")

    @classmethod
    def clipped(cls, description: str | None, items: Sequence[Item] = ()) -> Telling:
        """The telling of any words: cleaned, and cut where a limit is; of the items the first three."""
        return cls(clipped_text(description, DESCRIPTION), tuple(items[:MOST_ITEMS]))

    @classmethod
    def of_text(cls, text: str | None) -> Telling:
        """The telling that a feed or a command line gives as one text.

        A JSON object is the whole: ``{"description": ..., "items": [{"name": ..., "detail": ..., "map":
        ["0110...", ...]}]}``, a string a row of the map. Any other text is the description. Words are
        cleaned and cut as in :meth:`clipped`.

        Raises:
            TellingError: the object has other fields, an item without a name, or a wrong map.
        """
        given = _object(text)
        if given is None:
            return cls.clipped(text)
        try:
            told = _Told.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "JSON"
            raise TellingError(field, "unusable", f"as documented ({first['msg']})") from None
        items = []
        for index, item in enumerate(told.items[:MOST_ITEMS]):
            try:
                items.append(item.made())
            except TellingError as error:
                raise TellingError(
                    f"items.{index}.{error.field}", error.value, error.limit
                ) from None
        return cls.clipped(told.description, items)


class _ToldItem(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    detail: str = ""
    map: list[str] | None = None

    def made(self) -> Item:
        name, detail = clipped_text(self.name, NAME), clipped_text(self.detail, DETAIL)
        return Item(name, detail, None if self.map is None else _map_of(self.map))


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    description: str = ""
    items: list[_ToldItem] = []


def _object(text: str | None) -> dict[str, Any] | None:
    """A text that is a JSON object; None for any other."""
    if text is None or len(text) > LONGEST_JSON or not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _map_of(rows: list[str]) -> ItemMap:
    widths = {len(row) for row in rows}
    if len(widths) != 1:
        raise TellingError("map", f"rows of {len(widths)} lengths", "rows of one length")
    if not set("".join(rows)) <= {"0", "1"}:
        raise TellingError("map", "rows with other characters", "rows of 0 and 1")
    return np.array([[place == "1" for place in row] for row in rows], np.bool_)
