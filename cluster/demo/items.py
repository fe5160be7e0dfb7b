"""What the newsroom replays: a feed's rows, with all that is known of each picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cluster.feeds import KODAK_FEED, NEWSWIRE_FEED
from sender.sources import count_rows, read_captions, read_pictures
from shared.feed import read_feed

__all__ = ["Item", "count_items", "feed_items"]


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a feed.

    Attributes:
        image: its file, perhaps no readable one.
        caption: empty where the feed has none.
        source: whom it is from; empty where the feed does not say.
    """

    name: str
    image: bytes
    caption: str
    source: str


def feed_items(feed: Path | None, limit: int | None, which: int) -> Iterator[Item]:
    """The rows of a feed of any kind, or of the feeds that ship.

    Args:
        which: of a picture's captions, counted around.

    Raises:
        FeedError, LimitError: it cannot be read.
    """
    items = (item for one in _feeds(feed) for item in _items(one, which))
    return islice(items, limit)


def count_items(feed: Path | None, limit: int | None) -> int:
    """How many :func:`feed_items` gives.

    Raises:
        FeedError: it cannot be read.
    """
    count = sum(count_rows(str(one)) for one in _feeds(feed))
    return count if limit is None else min(count, limit)


def _feeds(feed: Path | None) -> Sequence[Path]:
    return (NEWSWIRE_FEED, KODAK_FEED) if feed is None else (feed,)


def _items(feed: Path, which: int) -> Iterator[Item]:
    if feed.suffix == ".parquet" or (feed.is_dir() and any(feed.glob("*.parquet"))):
        for row in read_feed(feed):
            yield Item(row.id, row.image, _chosen(row.captions, which), row.source)
        return
    pairs = zip(read_pictures(str(feed)), read_captions(str(feed)), strict=True)
    for picture, words in pairs:
        yield Item(picture.name, picture.image, words.text or "", "")


def _chosen(captions: Sequence[str], which: int) -> str:
    return captions[which % len(captions)] if captions else ""
