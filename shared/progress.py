"""How far a long piece of work has come, told to whoever watches and passed through no signature on the way.

with watched(print):
    encoder.encode(picture, 9)    # prints 1 24, 2 24, ... as tiles are done
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Watcher", "report", "watched"]

#: Is called with the parts that are done, and with all that there are; 0 of them where that is not known.
Watcher = Callable[[int, int], None]

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Tell ``watcher`` what is reported meanwhile in this thread or task."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def report(done: int, of: int = 0) -> None:
    """Say that so many parts are done, of so many; costs nothing where nobody watches."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher(done, of)
