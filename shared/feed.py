"""The feed schema: Parquet, one row a picture, its encoded bytes and its captions.

| column | type | |
| --- | --- | --- |
| id | string | names the picture |
| image | binary | the encoded picture, any format that :mod:`shared.pictures` reads |
| captions | list of string | may be empty |
| format, width, height | string, integers | optional; not trusted, so not read |
| source, licence | string | optional |

Who reads chooses columns; one that was not chosen need not exist and is never touched, so that a sender
of pictures cannot read a caption.

Rows are streamed. A Parquet page is the least that can be read at once, and pyarrow by default puts
1,024 rows in one, however large: write big feeds with ``row_group_size`` or ``write_batch_size`` of
a few dozen rows, and reading them takes some tens of megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from shared.errors import SidewireError

__all__ = [
    "ALL_COLUMNS",
    "BATCH_ROWS",
    "CAPTION_COLUMNS",
    "PICTURE_COLUMNS",
    "READ_ERRORS",
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


def _is_string(kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_binary(kind: Any) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_strings(kind: Any) -> bool:
    is_list = types.is_list(kind) or types.is_large_list(kind)
    return bool(is_list and _is_string(kind.value_type))


@dataclass(frozen=True)
class Column:
    """A column that is read: what its type must be, in words and as a test."""

    name: str
    wanted: str
    fits: Callable[[Any], bool]
    required: bool = True


COLUMNS = (
    Column("id", "string", _is_string),
    Column("image", "binary", _is_binary),
    Column("captions", "list<string>", _is_strings),
    Column("source", "string", _is_string, required=False),
    Column("licence", "string", _is_string, required=False),
)
ALL_COLUMNS = tuple(column.name for column in COLUMNS)
#: What a sender of pictures reads, and what a publisher of captions does (``image`` names the picture).
PICTURE_COLUMNS = ("id", "image")
CAPTION_COLUMNS = ("id", "image", "captions")


class FeedError(SidewireError):
    """A feed cannot be read: the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class FeedRow:
    """One picture of a feed; ``image`` is encoded, and empty where the feed holds a null.

    ``captions``, ``source`` and ``licence`` are also empty where their column was not chosen.
    """

    id: str
    image: bytes
    captions: tuple[str, ...]
    source: str
    licence: str


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


def present_columns(place: Path | str, schema: pa.Schema, columns: Collection[str]) -> list[str]:
    """Names of the chosen columns that are there.

    Raises:
        FeedError: one is missing that must be there, or is of another type; ``place`` is named.
    """
    present = []
    for column in COLUMNS:
        if column.name not in columns:
            continue
        index = schema.get_field_index(column.name)
        if index >= 0:
            kind = schema.field(index).type
            if not column.fits(kind):
                raise FeedError(f"{place}: column {column.name!r} is {kind}, not {column.wanted}")
            present.append(column.name)
        elif column.required:
            raise FeedError(f"{place}: no column {column.name!r} ({column.wanted})")
    return present


def batch_rows(place: Path | str, batch: pa.RecordBatch) -> Iterator[FeedRow]:
    """Rows of a batch of chosen columns.

    Raises:
        FeedError: an id is null; ``place`` is named. READ_ERRORS: the batch is damaged.
    """
    for values in batch.to_pylist():
        if values["id"] is None:
            raise FeedError(f"{place}: column 'id' holds a null")
        yield FeedRow(
            id=values["id"],
            image=values["image"] or b"",
            captions=tuple(text for text in values.get("captions") or () if text is not None),
            source=values.get("source") or "",
            licence=values.get("licence") or "",
        )


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
