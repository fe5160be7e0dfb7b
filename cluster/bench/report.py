"""What a run leaves: ``frames.parquet``, ``summary.json``, plots, and one page that opens from disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from cluster.bench.baseline import Change
from cluster.bench.plots import write_plots
from cluster.bench.result import BenchResult
from cluster.bench.rows import FrameRow, write_rows
from cluster.bench.summary import MOST_LAG_MS
from cluster.evaluation.bootstrap import Interval
from shared.errors import SidewireError
from shared.pictures import write_atomically

__all__ = ["Report", "shown", "write_report"]

PAGE = Path(__file__).parent / "report.html"


@dataclass(frozen=True)
class Report:
    """All that a run tells. ``changes`` is empty without a baseline."""

    result: BenchResult
    rows: Sequence[FrameRow]
    changes: Sequence[Change]


def write_report(out: Path, report: Report) -> None:
    """Write everything to a folder.

    Raises:
        SidewireError: it cannot be written.
    """
    try:
        write_rows(out / "frames.parquet", report.rows)
        plots = write_plots(out, report.result.points, report.rows)
        summary = report.result.to_json()
        write_atomically(out / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        environment.filters["interval"] = shown
        page = environment.from_string(PAGE.read_text(encoding="utf-8")).render(
            result=report.result,
            changes=report.changes,
            plots=plots,
            options=summary["options"],
            most_lag_ms=MOST_LAG_MS,
        )
        write_atomically(out / "index.html", page.encode())
    except OSError as error:
        raise SidewireError(f"cannot write the report to {out}: {error.strerror}") from None


def shown(found: Interval | None, digits: int = 2) -> str:
    """A figure with half the width of its interval; a dash for what was not measured."""
    if found is None:
        return "-"
    if found.high is None:
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} ± {found.high - found.value:.{digits}f}"
