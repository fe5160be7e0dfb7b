"""The feed schema: Parquet, one row a picture, its encoded bytes and its captions.

| column | type | |
| --- | --- | --- |
| id | string | names the picture |
| image | binary | the encoded picture, any format that :mod:`shared.pictures` reads |
| captions | list of string | may be empty |
| format, width, height | string, integers | optional; not trusted, so not read |
| source, licence | string | optional |

Rows are streamed. A Parquet page is the least that can be read at once, and pyarrow by default puts
1,024 rows in one, however large: write big feeds with ``row_group_size`` or ``write_batch_size`` of
a few dozen rows, and reading them takes some tens of megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from shared.errors import SidewireError

__all__ = ["FeedError", "FeedRow", "count_rows", "read_feed"]

#: Rows handed over at once, and bytes read ahead.
BATCH_ROWS = 8
READ_BUFFER_BYTES = 1 << 20


def _is_string(kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_binary(kind: Any) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


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


class FeedError(SidewireError):
    """A feed cannot be read: the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class FeedRow:
    """One picture of a feed; ``image`` is encoded, and empty where the feed holds a null."""

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


def _present_columns(path: Path, schema: pa.Schema) -> list[str]:
    """Names of the columns to read, after a check of their types."""
    present = []
    for column in COLUMNS:
        index = schema.get_field_index(column.name)
        if index >= 0:
            kind = schema.field(index).type
            if not column.fits(kind):
                raise FeedError(f"{path}: column {column.name!r} is {kind}, not {column.wanted}")
            present.append(column.name)
        elif column.required:
            raise FeedError(f"{path}: no column {column.name!r} ({column.wanted})")
    return present


def _row(path: Path, values: dict[str, Any]) -> FeedRow:
    if values["id"] is None:
        raise FeedError(f"{path}: column 'id' holds a null")
    return FeedRow(
        id=values["id"],
        image=values["image"] or b"",
        captions=tuple(text for text in values["captions"] or () if text is not None),
        source=values.get("source") or "",
        licence=values.get("licence") or "",
    )


def _rows(files: list[Path]) -> Iterator[FeedRow]:
    for path in files:
        with _open(path) as file:
            columns = _present_columns(path, file.schema_arrow)
            try:
                for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                    for values in batch.to_pylist():
                        yield _row(path, values)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise FeedError(f"{path}: damaged: {error}") from None


def read_feed(path: Path) -> Iterator[FeedRow]:
    """Rows of a Parquet file, or of all ``.parquet`` files of a folder in the order of their names.

    Every file's schema is checked by this call; rows are then streamed.

    Raises:
        FeedError: a file is missing, unreadable or damaged (the latter while rows are read), or a
        column is missing or of another type.
    """
    files = _files(path)
    for file_path in files:
        with _open(file_path) as file:
            _present_columns(file_path, file.schema_arrow)
    return _rows(files)


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
