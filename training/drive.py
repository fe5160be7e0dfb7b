"""The loop around a run's steps: log, validation, checkpoints. What a step is, the run knows."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console

__all__ = ["CHECKPOINT", "Resumable", "StepRow", "drive"]

CHECKPOINT = "checkpoint.pt"
LOG_EVERY = 50
CHECKPOINT_EVERY = 250
VALIDATE_EVERY = 500


class Resumable(Protocol):
    """A run that can be stopped at any step and go on from a file."""

    #: Steps done, and the time that they took.
    step: int
    seconds: float

    def save(self, path: Path) -> None:
        """Write all that it takes to go on."""


@dataclass(frozen=True)
class StepRow:
    """One line of ``log.csv``; the loss is a mean since the row before."""

    step: int
    seconds: float
    loss: float
    steps_per_second: float
    validation: str = ""


def _append(path: Path, row: StepRow, console: Console) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(row)))
        if fresh:
            writer.writeheader()
        writer.writerow(asdict(row))
    line = f"step {row.step} loss {row.loss:.4f} {row.steps_per_second:.2f} steps/s"
    console.print(f"{line} {row.validation}".rstrip(), highlight=False)


def drive(
    run: Resumable,
    steps: int,
    train_step: Callable[[], float],
    validate: Callable[[], str],
    folder: Path,
    milestones: Mapping[int, str] | None = None,
) -> None:
    """Step until ``steps`` are done.

    Args:
        run: what is trained; continues where it stands.
        steps: in all.
        train_step: one step, returns its loss.
        validate: a line for the log.
        folder: for ``checkpoint.pt`` and ``log.csv``.
        milestones: steps whose checkpoints are kept, by file name.

    Raises:
        FloatingPointError: the loss is not a number any more.
    """
    console, milestones = Console(), milestones or {}
    losses: list[float] = []
    before, started = run.seconds, time.monotonic()
    mark = started
    while run.step < steps:
        losses.append(train_step())
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"loss is {losses[-1]} at step {run.step}")
        done, last = run.step, run.step == steps
        if done % LOG_EVERY == 0 or last:
            now = time.monotonic()
            run.seconds = before + now - started
            speed, mean = len(losses) / (now - mark), sum(losses) / len(losses)
            said = validate() if done % VALIDATE_EVERY == 0 or last else ""
            _append(
                folder / "log.csv", StepRow(done, round(run.seconds, 1), mean, speed, said), console
            )
            losses, mark = [], time.monotonic()
        if done % CHECKPOINT_EVERY == 0 or last:
            run.save(folder / CHECKPOINT)
        if done in milestones:
            run.save(folder / milestones[done])
