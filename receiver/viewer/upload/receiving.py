"""A file that comes in pieces, to disk as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from shared.errors import LimitError, SidewireError

__all__ = ["StalledError", "receive_file"]


class StalledError(SidewireError):
    """A file has stopped coming."""


async def receive_file(
    chunks: AsyncIterator[bytes], target: Path, limit: int, stall_seconds: float
) -> int:
    """Write what comes to ``target``; its bytes. No more than a chunk is in memory.

    Raises:
        LimitError: more comes than ``limit``; at most that is on disk.
        StalledError: nothing comes for ``stall_seconds``.
        SidewireError: it is empty, or cannot be written.
    """
    size = 0
    try:
        with target.open("wb") as file:
            while (chunk := await _next(chunks, stall_seconds)) is not None:
                size += len(chunk)
                if size > limit:
                    raise LimitError("the file's size in bytes", size, limit)
                await asyncio.to_thread(file.write, chunk)
    except OSError as error:
        raise SidewireError(f"the picture cannot be kept here: {error.strerror}") from None
    if not size:
        raise SidewireError("the file is empty (0 bytes)")
    return size


async def _next(chunks: AsyncIterator[bytes], seconds: float) -> bytes | None:
    try:
        async with asyncio.timeout(seconds):
            return await anext(chunks, None)
    except TimeoutError:
        raise StalledError(f"nothing of the picture came for {seconds:g} s") from None
