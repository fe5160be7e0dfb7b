"""A process that many want something of: first come, first served, and no more wait than may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from receiver.viewer.lab import Refused
from shared.errors import LimitError, SidewireError
from shared.workers import WorkerProcess

__all__ = ["BusyError", "Place", "Turns"]

ReadyT = TypeVar("ReadyT")
RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


class BusyError(LimitError):
    """As much waits already as may; later there is room again."""

    def __str__(self) -> str:
        return f"{super().__str__()}; try again in a moment"


class Place:
    """A place in the line.

    Attributes:
        before: so many come first; 0 is its turn.
    """

    def __init__(self, before: int, moved: Callable[[int], None]) -> None:
        self.before = before
        self._moved = moved

    def move(self, before: int) -> None:
        """So many come first now."""
        self.before = before
        self._moved(before)


class Turns(Generic[ReadyT, RequestT, AnswerT]):
    """The process, started when it is first needed and again when it has died, and the line before it.

    Args:
        what: stands in the line, for messages.
        most: of them, with the one whose turn it is.
    """

    def __init__(
        self, process: WorkerProcess[ReadyT, RequestT, AnswerT | Refused], what: str, most: int
    ) -> None:
        self._process = process
        self._what = what
        self._most = most
        self._line: list[Place] = []
        self._turn = asyncio.Lock()
        self._ready: list[ReadyT] = []

    async def ready(self) -> ReadyT:
        """What the process said of itself when it was first started.

        Raises:
            SidewireError: it cannot be started.
        """
        if not self._ready:
            async with self._turn:
                await self._start()
        return self._ready[0]

    def enter(self, moved: Callable[[int], None] = lambda _: None) -> Place:
        """Take a place, for :meth:`ask` or :meth:`leave`.

        Args:
            moved: is called with the number of those before it when that changes.

        Raises:
            BusyError: the line is full.
        """
        if len(self._line) >= self._most:
            raise BusyError(self._what, len(self._line) + 1, self._most)
        place = Place(len(self._line), moved)
        self._line.append(place)
        return place

    def leave(self, place: Place) -> None:
        """Give a place up; those behind it move up."""
        if place in self._line:
            index = self._line.index(place)
            del self._line[index]
            for before, other in enumerate(self._line[index:], index):
                other.move(before)

    async def ask(
        self, place: Place, request: RequestT, noted: Callable[[Any], None] = lambda _: None
    ) -> AnswerT:
        """Wait for the turn, and then for the answer. Where this is cancelled, the line goes on.

        Args:
            noted: is called with what the process tells meanwhile.

        Raises:
            SidewireError: the process refuses, cannot be started, or ended meanwhile.
        """
        try:
            async with self._turn:
                await self._start()
                answer = await self._process.ask(request, noted)
        finally:
            self.leave(place)
        if isinstance(answer, Refused):
            raise SidewireError(answer.reason)
        return answer

    async def _start(self) -> None:
        if self._process.pid is None:
            self._ready[:] = [await self._process.start()]

    async def stop(self) -> None:
        """End the process at once."""
        await self._process.stop()
