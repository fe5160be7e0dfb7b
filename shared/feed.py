"""Feeds in Parquet, one row a picture, its encoded bytes and its captions: see :mod:`shared.feed_schema`.

Rows are streamed. A Parquet page is the least that can be read at once, and pyarrow by default puts
1,024 rows in one, however large: write big feeds with ``row_group_size`` or ``write_batch_size`` of
a few dozen rows, and reading them takes some tens of megabytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shared.feed_columns import (
    ALL_COLUMNS,
    CAPTION_COLUMNS,
    PICTURE_COLUMNS,
    TOLD_COLUMNS,
    FeedError,
    FeedRow,
)
from shared.feed_rows import batch_rows
from shared.feed_schema import present_columns

__all__ = [
    "ALL_COLUMNS",
    "BATCH_ROWS",
    "CAPTION_COLUMNS",
    "PICTURE_COLUMNS",
    "READ_ERRORS",
    "TOLD_COLUMNS",
    "FeedError",
    "FeedRow",
    "batch_rows",
    "check_feed",
    "count_rows",
    "present_columns",
    "read_feed",
]

#: Rows handed over at once, and bytes read ahead.
BATCH_ROWS = 8
READ_BUFFER_BYTES = 1 << 20
#: What pyarrow raises for a damaged file.
READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise FeedError(f"no feed at {path}")
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise FeedError(f"{path}: the folder holds no .parquet file")
    return files


def _open(path: Path) -> pq.ParquetFile:
    try:
        # Without pre-buffering a row group is streamed; with it, it is read whole.
        return pq.ParquetFile(path, buffer_size=READ_BUFFER_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise FeedError(f"{path}: not a readable Parquet file: {error}") from None


def _batches(file: pq.ParquetFile, columns: list[str], start: int) -> Iterator[pa.RecordBatch]:
    """Batches from row ``start`` on; row groups that end before it are not read."""
    groups = list(range(file.num_row_groups))
    while groups and start >= (rows := file.metadata.row_group(groups[0]).num_rows):
        start -= rows
        groups.pop(0)
    for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=columns):
        if start < batch.num_rows:
            yield batch.slice(start)
        start = max(0, start - batch.num_rows)


def _rows(files: list[Path], columns: Collection[str], start: int) -> Iterator[FeedRow]:
    for path in files:
        with _open(path) as file:
            present = present_columns(path, file.schema_arrow, columns)
            try:
                for batch in _batches(file, present, start):
                    yield from batch_rows(path, batch)
            except READ_ERRORS as error:
                raise FeedError(f"{path}: damaged: {error}") from None
            start = max(0, start - file.metadata.num_rows)


def check_feed(path: Path, columns: Collection[str] = ALL_COLUMNS) -> list[Path]:
    """Check the schema of a Parquet file, or of all ``.parquet`` files of a folder.

    Returns:
        The files, in the order of their names.

    Raises:
        FeedError: a file is missing or unreadable, or a column is missing or of another type.
    """
    files = _files(path)
    for file_path in files:
        with _open(file_path) as file:
            present_columns(file_path, file.schema_arrow, columns)
    return files


def read_feed(
    path: Path, columns: Collection[str] = ALL_COLUMNS, start: int = 0
) -> Iterator[FeedRow]:
    """Rows of a Parquet file, or of all ``.parquet`` files of a folder in the order of their names.

    Every file's schema is checked by this call; rows are then streamed, from row ``start`` on.

    Raises:
        FeedError: as :func:`check_feed`, or a file is damaged (this one while rows are read).
    """
    return _rows(check_feed(path, columns), columns, start)


def count_rows(path: Path) -> int:
    """Number of pictures in a feed, from the files' metadata alone.

    Raises:
        FeedError: a file is missing or unreadable.
    """
    total = 0
    for file_path in _files(path):
        with _open(file_path) as file:
            total += file.metadata.num_rows
    return total
