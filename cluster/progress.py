"""How far a long command is, on standard error: a bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from cluster.console import progress_console
from receiver.observer import Observer
from receiver.work import End
from shared.wire.streams import is_of_previews

__all__ = ["LINE_SECONDS", "FramesEnded", "Meter"]

#: Seconds between plain lines: a log of an hour stays readable.
LINE_SECONDS = 10.0


class Meter:
    """Counts towards a total, and says what remains.

    Args:
        unit: what is counted, in the plural.
        shown: False counts in silence.
        console: that is written to.
        now: a clock in seconds.
    """

    def __init__(
        self,
        unit: str,
        *,
        shown: bool = True,
        console: Console = progress_console,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unit, self._shown, self._console, self._now = unit, shown, console, now
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit, markup=False),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not (shown and console.is_terminal),
            transient=True,
        )
        self._task: TaskID | None = None
        self._what = ""
        self._done = self._total = 0
        self._began = self._said = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Write a line, above the bar where there is one."""
        if self._shown:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def begin(self, what: str, total: int) -> None:
        """Count from 0 towards another total."""
        self._what, self._total, self._done = what, total, 0
        self._began = self._said = self._now()
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total)

    def expect(self, more: int) -> None:
        """So many more than was thought remain."""
        self._total += more
        self._show()

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        self._show()

    def _show(self) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=self._done, total=self._total)
        now = self._now()
        if self._console.is_terminal or now - self._said < LINE_SECONDS:
            return
        self._said = now
        self.say(f"{self._what}: {self._done:,} of {self._total:,} {self._unit}{self._left(now)}")

    def _left(self, now: float) -> str:
        """The time that remains if all goes on as it has; nothing where that cannot be known yet."""
        left = self._total - self._done
        if not self._done or left <= 0:
            return ""
        return f", about {left * (now - self._began) / self._done:,.0f} s left"


class FramesEnded(Observer):
    """Counts the pictures that have ended at a receiver, without their previews."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def ended(self, end: End) -> None:
        """See :class:`Observer`."""
        if end.frame_ended and not is_of_previews(end.key.stream_id):
            self._meter.advance()
