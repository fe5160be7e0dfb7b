"""A feed through a pipe: Arrow IPC, a record batch a row, so that a row is read as soon as it is there."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence

import pyarrow as pa
from pyarrow import ipc

from shared.errors import SidewireError

__all__ = ["FeedPipe"]

SCHEMA = pa.schema(
    [("id", pa.string()), ("image", pa.binary()), ("captions", pa.list_(pa.string()))]
)


class FeedPipe:
    """Rows of :mod:`shared.feed`'s schema to a program that reads ``--feed -``.

    Args:
        stream: its standard input.
        program: for messages.
    """

    def __init__(self, stream: asyncio.StreamWriter, program: str) -> None:
        self._stream = stream
        self._program = program
        self._bytes = io.BytesIO()
        self._writer = ipc.new_stream(self._bytes, SCHEMA)
        # Arrow's reader looks one batch ahead of the schema: an empty one lets the program begin.
        self._writer.write_batch(pa.record_batch([[], [], []], schema=SCHEMA))
        self._hand_over()

    def _hand_over(self) -> None:
        self._stream.write(self._bytes.getvalue())
        self._bytes.seek(0)
        self._bytes.truncate()

    async def write(self, id: str, image: bytes, captions: Sequence[str]) -> None:
        """One row; waits while the program is behind.

        Raises:
            SidewireError: it has ended.
        """
        columns = [[id], [image], [list(captions)]]
        self._writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
        try:
            self._hand_over()
            await self._stream.drain()
        except OSError:
            raise SidewireError(f"{self._program} takes no more of its feed") from None

    def close(self) -> None:
        """The feed is over."""
        self._writer.close()
        if not self._stream.is_closing():
            self._hand_over()
            self._stream.close()
