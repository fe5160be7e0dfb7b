"""What is under way, by the picture and the result that it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

__all__ = ["Tasks"]

#: Ids of a picture and of one of its results; that one is empty for what is done to the picture itself.
Key = tuple[str, str]


class Tasks:
    """Tasks that can be ended one by one, or with all others of their picture."""

    def __init__(self) -> None:
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def begin(self, key: Key, work: Coroutine[Any, Any, None], over: Callable[[], None]) -> None:
        """Let it run.

        Args:
            over: is called at its end, also where that comes before it has begun.
        """
        task = asyncio.create_task(work)
        self._tasks[key] = task

        def done(_: asyncio.Task[None]) -> None:
            del self._tasks[key]
            over()

        task.add_done_callback(done)

    async def end(self, key: Key) -> None:
        """End one, if it is there, and wait until it has ended."""
        await self._end(one for one in self._tasks if one == key)

    async def end_all(self, upload_id: str | None = None) -> None:
        """End all of a picture's; those of all pictures where none is named."""
        await self._end(one for one in self._tasks if upload_id in (None, one[0]))

    async def _end(self, keys: Iterable[Key]) -> None:
        tasks = [self._tasks[key] for key in keys]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
