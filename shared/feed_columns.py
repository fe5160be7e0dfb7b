"""What is chosen of a feed and what a row is, whatever the feed is kept in; see :mod:`shared.feed_schema`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from shared.errors import SidewireError

__all__ = [
    "ALL_COLUMNS",
    "CAPTIONS_IF_ANY",
    "CAPTION_COLUMNS",
    "PICTURE_COLUMNS",
    "TOLD_COLUMNS",
    "FeedError",
    "FeedRow",
    "has_captions",
]

ALL_COLUMNS = ("id", "image", "captions", "source", "licence")
#: Chooses captions for those who do without where a feed has none.
CAPTIONS_IF_ANY = "captions if any"
#: What a sender of pictures reads, what one whose encoder reads captions does, and what a publisher of
#: captions does (``image`` names the picture).
PICTURE_COLUMNS = ("id", "image")
TOLD_COLUMNS = ("id", "image", CAPTIONS_IF_ANY, "telling")
CAPTION_COLUMNS = ("id", "image", "captions")


class FeedError(SidewireError):
    """A feed cannot be read: the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class FeedRow:
    """One picture of a feed; ``image`` is encoded, and empty where the feed holds a null.

    All but the first two are also empty where their column was not chosen.

    Attributes:
        telling: a description with items and places (:meth:`shared.telling.telling.Telling.of_text`).
    """

    id: str
    image: bytes
    captions: tuple[str, ...]
    source: str
    licence: str
    telling: str = ""


def has_captions(columns: Collection[str]) -> bool:
    """Whether captions are among the chosen columns."""
    return not {"captions", CAPTIONS_IF_ANY}.isdisjoint(columns)
