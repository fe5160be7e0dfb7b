"""A run in plots: how slow the slow ones are, where time goes, whether the rate holds, how it scales."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cluster.bench.rows import PARTS, FrameRow
from cluster.bench.summary import Point
from cluster.figures import write_png

__all__ = ["Plot", "write_plots"]

#: Bins of a repeat's time.
BINS = 30


@dataclass(frozen=True, slots=True)
class Plot:
    """A file beside the report, and what it shows."""

    name: str
    caption: str
    figure: Figure


def write_plots(out: Path, points: Sequence[Point], rows: Sequence[FrameRow]) -> Sequence[Plot]:
    """Write those that there is something to show in."""
    counted = [row for row in rows if row.counts and row.decoded_s is not None and row.e2e_ms]
    plots = [_latency(counted), _parts(counted), _rate(counted)] if counted else []
    if len(points) > 1:
        plots.append(_scaling(points))
    for plot in plots:
        write_png(out / plot.name, plot.figure, 120)
    return plots


def _figure() -> Figure:
    return Figure(figsize=(8, 4.5), layout="constrained")


def _by_decoders(rows: Sequence[FrameRow]) -> dict[int, list[FrameRow]]:
    numbers = sorted({row.decoders for row in rows})
    return {number: [row for row in rows if row.decoders == number] for number in numbers}


def _latency(rows: Sequence[FrameRow]) -> Plot:
    figure = _figure()
    axes = figure.add_subplot()
    for decoders, own in _by_decoders(rows).items():
        values = np.sort([row.e2e_ms or 0.0 for row in own])
        axes.step(values, 1 - np.arange(len(values)) / len(values), label=f"decoders: {decoders}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("latency (ms)")
    axes.set_ylabel("share of frames at least as slow")
    axes.grid(which="both", alpha=0.25)
    axes.legend()
    caption = "From the intended time of sending to the ack: how slow the slow ones are."
    return Plot("latency.png", caption, figure)


def _parts(rows: Sequence[FrameRow]) -> Plot:
    figure = _figure()
    axes = figure.add_subplot()
    groups = _by_decoders(rows)
    names = [f"decoders: {decoders}" for decoders in groups]
    begin = np.zeros(len(groups))
    for part in PARTS:
        means = [
            statistics.fmean(row.part_ms(part) or 0.0 for row in own) for own in groups.values()
        ]
        axes.barh(names, means, left=begin, label=part.replace("_", " "))
        begin += means
    axes.set_xlabel("mean latency (ms)")
    axes.grid(axis="x", alpha=0.25)
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return Plot("parts.png", "Where the time goes.", figure)


def _rate(rows: Sequence[FrameRow]) -> Plot:
    figure = _figure()
    axes = figure.add_subplot()
    for index, (decoders, own) in enumerate(_by_decoders(rows).items()):
        for repeat in sorted({row.repeat for row in own}):
            ends = [row.ended_s or 0.0 for row in own if row.repeat == repeat]
            counts, edges = np.histogram(ends, bins=BINS)
            label = f"decoders: {decoders}" if repeat == 0 else None
            rates = counts / np.diff(edges)
            axes.plot(edges[:-1], rates, color=f"C{index % 10}", alpha=0.7, label=label)
    axes.set_xlabel("seconds from the start of the repeat, a line each")
    axes.set_ylabel("frames ended a second")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend()
    return Plot("rate.png", "Whether the rate holds.", figure)


def _scaling(points: Sequence[Point]) -> Plot:
    figure = _figure()
    axes = figure.add_subplot()
    numbers = np.array([point.decoders for point in points])
    rates = np.array([point.achieved.value for point in points])
    error = [
        (point.achieved.high or point.achieved.value) - point.achieved.value for point in points
    ]
    axes.errorbar(numbers, rates, error, marker="o", capsize=4, label="achieved")
    axes.plot(numbers, rates[0] * numbers / numbers[0], linestyle="--", label="in proportion")
    axes.set_xlabel("decoders")
    axes.set_ylabel("frames a second")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend()
    return Plot("scaling.png", "How it scales, with 95 % intervals.", figure)
