"""Watching real processes: until one stops itself at a fail point, until something has come out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from cluster.trials.processes import Program, state_of

__all__ = ["children", "delivered", "until", "until_delivered", "until_paused"]

PATIENCE = 60.0
LOOK_SECONDS = 0.01


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


def delivered(sink: Path) -> int:
    """Deliveries that are visible in a folder sink."""
    return sum(1 for _ in sink.glob("*/*.json"))


def until_delivered(sink: Path, count: int) -> None:
    """Wait until so many are visible."""
    until(lambda: delivered(sink) >= count, f"{count} deliveries in {sink}")
