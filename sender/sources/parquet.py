"""A Parquet file or a folder of them as a feed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from shared.feed import FeedRow, check_feed, count_rows, read_feed

__all__ = ["ParquetFeed"]


class ParquetFeed:
    """See :mod:`shared.feed`.

    Raises:
        FeedError: missing, unreadable, or a chosen column is missing or of another type.
    """

    def __init__(self, path: Path, columns: Collection[str]) -> None:
        check_feed(path, columns)
        self._path = path
        self._columns = columns

    def count(self) -> int:
        """See :class:`Feed`; from metadata alone."""
        return count_rows(self._path)

    def rows(self, start: int) -> Iterator[FeedRow]:
        """See :class:`Feed`; whole row groups are skipped."""
        return read_feed(self._path, self._columns, start)
