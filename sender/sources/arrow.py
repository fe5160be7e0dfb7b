"""Arrow IPC as a feed: the file format, the stream format, and a stream that comes through a pipe.

The schema is :mod:`shared.feed_schema`'s. A record batch is the least that can be read at once; only chosen
columns are unpacked, the others' bytes are passed over as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyarrow import ipc

from shared.feed import BATCH_ROWS, READ_ERRORS, FeedError, FeedRow, batch_rows, present_columns
from shared.feed_rows import with_raw_captions

__all__ = ["ArrowFeed", "ArrowPipe"]

#: How the file format begins; the stream format begins with its schema.
FILE_MAGIC = b"ARROW1"


def _options(place: Path | str, schema: pa.Schema, columns: Collection[str]) -> ipc.IpcReadOptions:
    """Options to read the chosen columns and no other."""
    present = present_columns(place, schema, columns)
    return ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in present])


def _rows(place: Path | str, batches: Iterator[pa.RecordBatch], start: int) -> Iterator[FeedRow]:
    try:
        for batch in map(with_raw_captions, batches):
            if start < batch.num_rows:
                batch.validate(full=True)  # an offset out of bounds would be read as it stands
            for first in range(start, batch.num_rows, BATCH_ROWS):
                yield from batch_rows(place, batch.slice(first, BATCH_ROWS))
            start = max(0, start - batch.num_rows)
    except READ_ERRORS as error:
        raise FeedError(f"{place}: damaged: {error}") from None


class ArrowFeed:
    """An Arrow IPC file, or a stream in a file; mapped into memory rather than read.

    Raises:
        FeedError: missing, unreadable, or a chosen column is missing or of another type.
    """

    def __init__(self, path: Path, columns: Collection[str]) -> None:
        if not path.exists():
            raise FeedError(f"no feed at {path}")
        self._path = path
        try:
            with pa.memory_map(str(path)) as source:
                self._is_file = source.read(len(FILE_MAGIC)) == FILE_MAGIC
                source.seek(0)
                opened = ipc.open_file if self._is_file else ipc.open_stream
                schema = opened(source).schema
        except READ_ERRORS as error:
            raise FeedError(f"{path}: not a readable Arrow IPC file: {error}") from None
        self._options = _options(path, schema, columns)
        self._id_options = _options(path, schema, ["id"])

    def _batches(self, options: ipc.IpcReadOptions) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(self._path)) as source:
            if self._is_file:
                reader = ipc.open_file(source, options=options)
                yield from map(reader.get_batch, range(reader.num_record_batches))
            else:
                yield from ipc.open_stream(source, options=options)

    def count(self) -> int:
        """See :class:`Feed`; no picture is unpacked for it."""
        try:
            return sum(batch.num_rows for batch in self._batches(self._id_options))
        except READ_ERRORS as error:
            raise FeedError(f"{self._path}: damaged: {error}") from None

    def rows(self, start: int) -> Iterator[FeedRow]:
        """See :class:`Feed`."""
        return _rows(self._path, self._batches(self._options), start)


class _GivenBack:
    """A pipe's bytes, with some that were read before in front. Closing it leaves the pipe open."""

    closed = False

    def __init__(self, head: bytes, pipe: BinaryIO) -> None:
        self._head = head
        self._pipe = pipe

    def read(self, size: int) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head + self._pipe.read(size - len(head))

    def close(self) -> None:
        """The pipe is the process's own."""


class ArrowPipe:
    """An Arrow IPC stream that is read once, as it comes; ``place`` names it in messages.

    The schema is waited for here. It is read twice, as columns are chosen by their place in it.

    Raises:
        FeedError: no stream, or a chosen column is missing or of another type.
    """

    def __init__(self, place: str, pipe: BinaryIO, columns: Collection[str]) -> None:
        self._place = place
        try:
            message = ipc.read_message(pa.PythonFile(_GivenBack(b"", pipe), mode="r"))
            schema = ipc.read_schema(message)
            options = _options(place, schema, columns)
            source = _GivenBack(message.serialize().to_pybytes(), pipe)
            self._batches = ipc.open_stream(pa.PythonFile(source, mode="r"), options=options)
        except (*READ_ERRORS, EOFError) as error:
            raise FeedError(f"{place}: not a readable Arrow IPC stream: {error}") from None

    def count(self) -> int:
        """The number of rows, which is not known.

        Raises:
            FeedError: always.
        """
        raise FeedError(f"{self._place}: can be read only once, so not repeated")

    def rows(self, start: int) -> Iterator[FeedRow]:
        """See :class:`Feed`; rows before ``start`` are passed over."""
        return _rows(self._place, iter(self._batches), start)
