"""What measuring gives, gathered: rows and failures, each failure said as it comes."""

from __future__ import annotations

from collections.abc import Iterable

from rich.progress import Progress, TaskID

from cluster.evaluation.measure import Task, measured
from cluster.evaluation.rows import Failure, ResultRow

__all__ = ["collect"]


def collect(
    tasks: Iterable[Task | Failure], jobs: int, codecs: int, progress: Progress, bar: TaskID
) -> tuple[list[ResultRow], list[Failure]]:
    """Measure tasks; warn of what fails and go on.

    Args:
        jobs: processes.
        codecs: how many steps of the bar a picture is.
        progress: has the bar, and is warned on.
    """
    rows: list[ResultRow] = []
    failures: list[Failure] = []
    for outcomes in measured(tasks, jobs):
        for outcome in outcomes:
            if isinstance(outcome, ResultRow):
                rows.append(outcome)
            else:
                failures.append(outcome)
                progress.console.print(f"warning: {outcome}", style="yellow", markup=False)
        progress.advance(bar, codecs if outcomes[0].codec is None else 1)
    return rows, failures
