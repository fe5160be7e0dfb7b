"""What every feed is, and what comes out of it for either channel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from shared.feed_columns import FeedRow
from shared.wire.limits import CONTENT_ID_BYTES

__all__ = ["Feed", "SourceCaption", "SourcePicture", "content_id"]


def content_id(image: bytes) -> bytes:
    """What both channels know a picture by: the start of the SHA-256 of its file."""
    return hashlib.sha256(image).digest()[:CONTENT_ID_BYTES]


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """A picture to send.

    Attributes:
        name: what the feed calls it.
        image: the picture's file; empty where the feed has none, which no codec accepts.
        caption: what is said of it, for an encoder that is told; never read for one that is blind.
    """

    seq: int
    name: str
    image: bytes
    caption: str | None = None

    @property
    def content_id(self) -> bytes:
        """16 bytes, computed at each call."""
        return content_id(self.image)


@dataclass(frozen=True, slots=True)
class SourceCaption:
    """The words to publish for a picture; ``text`` is None where the feed has none."""

    seq: int
    name: str
    content_id: bytes
    text: str | None


class Feed(Protocol):
    """The chosen columns of one feed. Constructors check all that can be known before rows are read.

    A column that was not chosen is never read. Rows are streamed, a few in memory at a time.
    """

    def count(self) -> int:
        """How many rows there are.

        Raises:
            FeedError: the feed is damaged, or can be read only once.
        """

    def rows(self, start: int) -> Iterator[FeedRow]:
        """Rows from ``start`` on; may be called again for another round if :meth:`count` succeeds.

        Raises:
            FeedError, LimitError: from the iterator, at the row that cannot be read.
        """
