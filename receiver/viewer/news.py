"""That something has changed, for any number of readers, none of whom is waited for."""

from __future__ import annotations

import asyncio

__all__ = ["News"]


class News:
    """A version that rises with every change. What has changed is looked up by who asks, not queued."""

    def __init__(self) -> None:
        self.version = 0
        self.closed = False
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There is something to tell."""
        self.version += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def news(self, version: int) -> int:
        """Wait until something has changed after ``version``, or the end; the version then."""
        while self.version <= version and not self.closed:
            await self._news.wait()
        return self.version

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        self.wake()
