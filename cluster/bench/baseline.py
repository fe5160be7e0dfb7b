"""Comparison with an earlier run: ratios, and what is worse by more than chance. Pure but for the reading."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.bench.summary import Point
from cluster.evaluation.bootstrap import Interval
from shared.errors import SidewireError

__all__ = ["BaselineError", "Change", "changes", "read_baseline"]

#: Figures that are compared, and whether more of them is better.
FIGURES = {"achieved": True, "goodput": True, "e2e_p50_ms": False, "e2e_p99_ms": False}

#: By number of decoders and name of a figure.
Earlier = Mapping[tuple[int, str], Interval]


class BaselineError(SidewireError):
    """An earlier run's summary is missing or no such thing."""


@dataclass(frozen=True)
class Change:
    """A figure at a number of decoders, then and now.

    Attributes:
        ratio: now by then.
        worse, better: by more than both intervals allow for. Neither where one of them is unknown.
    """

    decoders: int
    figure: str
    before: Interval
    now: Interval
    ratio: float
    worse: bool
    better: bool


def read_baseline(folder: Path) -> Earlier:
    """The figures of an earlier run's ``summary.json``.

    Raises:
        BaselineError: there is none, or it is no such file.
    """
    path = folder / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        return {
            (point["decoders"], figure): _interval(point[figure])
            for point in summary["points"]
            for figure in FIGURES
        }
    except OSError as error:
        raise BaselineError(f"no baseline at {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BaselineError(f"{path} is not the summary of a benchmark: {error!r}") from None


def _interval(values: Mapping[str, Any]) -> Interval:
    value = values["value"]  # null where nothing ended
    return Interval(math.nan if value is None else float(value), values["low"], values["high"])


def changes(earlier: Earlier, points: Sequence[Point]) -> list[Change]:
    """What both runs have measured."""
    return [
        _change(point.decoders, figure, earlier[point.decoders, figure], getattr(point, figure))
        for point in points
        for figure in FIGURES
        if (point.decoders, figure) in earlier
    ]


def _change(decoders: int, figure: str, before: Interval, now: Interval) -> Change:
    rose, fell = _above(now, before), _above(before, now)
    worse, better = (fell, rose) if FIGURES[figure] else (rose, fell)
    ratio = now.value / before.value if before.value else math.nan
    return Change(decoders, figure, before, now, ratio, worse, better)


def _above(one: Interval, other: Interval) -> bool:
    """Whole interval above whole interval."""
    return one.low is not None and other.high is not None and one.low > other.high
