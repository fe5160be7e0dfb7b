"""Watching real processes: which there are, until one stops itself at a fail point, or something is out."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from cluster.trials.processes import Program, state_of
from tests.patience import PATIENCE

__all__ = [
    "HEEDING_INTERRUPTS",
    "children",
    "delivered",
    "existing",
    "started_here",
    "until",
    "until_delivered",
    "until_paused",
]

LOOK_SECONDS = 0.01
#: Words before a command: a shell's background jobs ignore SIGINT, and so would all that they start.
HEEDING_INTERRUPTS = ("env", "--default-signal=INT")


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that no event tells of."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE:g} s: {what}"
        time.sleep(LOOK_SECONDS)


def until_paused(program: Program) -> None:
    """Wait until it has stopped itself at its fail point (state T of proc(5))."""

    def paused() -> bool:
        assert program.running, f"it ended with code {program.wait()} before its fail point"
        return state_of(program.pid) == "T"

    until(paused, f"process {program.pid} stops itself")


def children(pid: int) -> list[int]:
    """Processes that a process has started, the oldest first."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(child) for one in lists for child in one.read_text().split())


@contextmanager
def started_here() -> Iterator[list[int]]:
    """The processes that this one starts meanwhile, in a list that grows.

    What else it has for children, of other tests and on their way out perhaps, is not among them.
    """
    pids: list[int] = []
    begin = subprocess.Popen.__init__

    def note(process: subprocess.Popen[bytes], *words: Any, **options: Any) -> None:
        begin(process, *words, **options)
        pids.append(process.pid)

    with mock.patch.object(subprocess.Popen, "__init__", note):
        yield pids


def existing(pids: Collection[int]) -> list[int]:
    """Those that are there, be it as what their parent has not yet heard the end of."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def delivered(sink: Path) -> int:
    """Deliveries that are visible in a folder sink."""
    return sum(1 for _ in sink.glob("*/*.json"))


def until_delivered(sink: Path, count: int) -> None:
    """Wait until so many are visible."""
    until(lambda: delivered(sink) >= count, f"{count} deliveries in {sink}")
