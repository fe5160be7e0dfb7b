"""A comparison in plots: quality over rate, and what captions and systems gain at equal bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from cluster.compare.records import Comparison, Counted, Gain, Pair, Question
from cluster.compare.tables import system_name
from cluster.evaluation.bootstrap import Interval
from cluster.evaluation.report import write_curves
from cluster.evaluation.summary import METRICS
from cluster.figures import write_png
from cluster.reproduce.bands import draw_band
from cluster.reproduce.sheet import MEASURES

__all__ = ["Plot", "gains_figure", "write_plots"]

GAINS = "gains.png"


@dataclass(frozen=True)
class Plot:
    """A file beside the page, and what it shows."""

    name: str
    caption: str


def write_plots(out: Path, found: Comparison) -> list[Plot]:
    """Write them all.

    Raises:
        SidewireError: the folder cannot be written.
    """
    summary = [row.mean for row in found.rates]
    plots = []
    levels = [gain for gain in found.gains if gain.quality is not None]
    if levels:
        write_png(out / GAINS, gains_figure(levels))
        plots.append(
            Plot(
                GAINS,
                "Gains at equal bits of the picture, level by level, with 95 % intervals over pictures:"
                " above the line is better.",
            )
        )
    write_curves(out, summary)
    plots += [Plot(f"rd_{m.name}.png", f"{m.label} over the rate.") for m in METRICS]
    return plots


def gains_figure(gains: Sequence[Gain]) -> Figure:
    """A row a question, a panel a measure, a line a system; a panel without figures stays empty."""
    rates = [gain.bpp for gain in gains]
    questions = [q for q in Question if any(gain.pair.question is q for gain in gains)]
    figure = Figure(figsize=(3.4 * len(MEASURES), 3 * len(questions)), layout="constrained")
    grid = figure.subplots(len(questions), len(MEASURES), squeeze=False)
    for line, question in zip(grid, questions, strict=True):
        for axes, measure in zip(line, MEASURES, strict=True):
            for pair, points in _lines(gains, question, measure.name).items():
                draw_band(axes, points, system_name(pair))
            axes.axhline(0, color="grey", linewidth=0.8)
            axes.set_xscale("log")
            # Said here, as a panel without figures has no limits that a logarithm exists of.
            axes.set_xlim(0.9 * min(rates), 1.1 * max(rates))
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_title(measure.label, fontsize=9)
            axes.tick_params(which="both", labelsize=7)
        line[0].set_ylabel(question.value, fontsize=9)
        line[0].legend(fontsize=7)
    for axes in grid[-1]:
        axes.set_xlabel("bits per pixel", fontsize=8)
    return figure


def _lines(
    gains: Sequence[Gain], question: Question, measure: str
) -> dict[Pair, list[tuple[float, Interval]]]:
    lines: dict[Pair, list[tuple[float, Interval]]] = {}
    for gain in gains:
        wanted = (question, Counted.PICTURE, measure)
        if (gain.pair.question, gain.counted, gain.measure) == wanted:
            lines.setdefault(gain.pair, []).append((gain.bpp, gain.gain))
    return lines
