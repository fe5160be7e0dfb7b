"""The loop around a run's steps: log, validation, checkpoints. What a step is, the run knows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from training.run import Run
from training.step_log import StepLog, StepRow

__all__ = ["CHECKPOINT", "drive"]

CHECKPOINT = "checkpoint.pt"
LOG_EVERY = 50
CHECKPOINT_EVERY = 250
#: Seconds that lie between two checkpoints at least: a GPU does 250 steps in a few.
CHECKPOINT_SECONDS = 60


def drive(
    run: Run[Any], validate: Callable[[], str], folder: Path, validate_every: int = 500
) -> None:
    """Step until all phases are done; the end of each is kept as ``PHASE.pt``, for others to start from.

    Of several workers, which take every step together, the first one writes; losses are the mean of all.

    Args:
        run: what is trained; continues where it stands.
        validate: a line for the log.
        folder: for checkpoints and ``log.csv``.
        validate_every: steps.

    Raises:
        FloatingPointError: the loss is not a number any more.
    """
    console, log, ends = Console(), StepLog(folder), run.ends()
    before, started = run.seconds, time.monotonic()
    mark = saved = started
    total, count = torch.zeros(()), 0
    while run.step < run.steps:
        total, count = run.advance() + total, count + 1
        done, over = run.step, run.step in ends
        if done % LOG_EVERY == 0 or over:
            run.together.average([total])
            mean = float(total) / count
            if not math.isfinite(mean):
                raise FloatingPointError(f"loss is {mean} at step {done}")
            if run.together.first:
                now = time.monotonic()
                run.seconds = before + now - started
                said = validate() if done % validate_every == 0 or over else ""
                phase = next(name for end, name in ends.items() if done <= end)
                row = StepRow(done, phase, round(run.seconds, 1), mean, count / (now - mark), said)
                log.add(row)
                console.print(row.line, highlight=False)
            total, count, mark = torch.zeros(()), 0, time.monotonic()
        if not run.together.first:
            continue
        late = time.monotonic() - saved > CHECKPOINT_SECONDS
        if (done % CHECKPOINT_EVERY == 0 and late) or over:
            run.save(folder / CHECKPOINT)
            saved = time.monotonic()
        if over:
            run.save(folder / f"{ends[done]}.pt")
