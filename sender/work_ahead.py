"""Asynchronous work on what an iterator gives, ahead of who takes the results: in order, and bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["READER_NAME", "work_ahead"]

READER_NAME = "sidewire-feed"

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class _End:
    """The mark after the last item; ``error`` is what the source raised, if it did."""

    error: Exception | None = None


async def work_ahead(
    source: Iterator[ItemT],
    work: Callable[[ItemT], Coroutine[Any, Any, ResultT]],
    ahead: int,
) -> AsyncGenerator[ResultT, None]:
    """Results of ``work`` in order, begun as soon as an item was read in a thread.

    At most ``ahead`` items are in work or finished and not yet taken. Close the generator
    (``contextlib.aclosing``): that cancels what is in work.

    Raises:
        Exception: what ``work`` raised, or after all results what ``source`` did.
    """
    loop = asyncio.get_running_loop()
    room = threading.Semaphore(ahead)
    begun: asyncio.Queue[asyncio.Task[ResultT] | _End] = asyncio.Queue()
    stopped = threading.Event()

    def begin(item: ItemT) -> None:
        if not stopped.is_set():
            begun.put_nowait(loop.create_task(work(item)))

    def read() -> None:
        end = _End()
        try:
            room.acquire()
            for item in source:
                loop.call_soon_threadsafe(begin, item)
                room.acquire()
                if stopped.is_set():
                    return
        except Exception as error:
            end = _End(error)
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(begun.put_nowait, end)

    # A daemon, as a source such as a pipe may never come to its next item.
    threading.Thread(target=read, name=READER_NAME, daemon=True).start()
    task: asyncio.Task[ResultT] | _End = _End()
    try:
        while isinstance(task := await begun.get(), asyncio.Task):
            result = await task
            room.release()
            yield result
        if task.error:
            raise task.error
    finally:
        stopped.set()
        room.release()
        left = [task] + [begun.get_nowait() for _ in range(begun.qsize())]
        tasks = [one for one in left if isinstance(one, asyncio.Task)]
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
