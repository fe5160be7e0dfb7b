"""What an evaluation leaves: ``results.parquet``, ``summary.json``, ``bd_rate.json``, plots, a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from rich.box import SIMPLE
from rich.table import Table

from cluster.evaluation.rows import BdRateRow, EvaluationResult, ResultRow, SummaryRow
from cluster.evaluation.summary import BASELINES, METRICS, curve_of, named_curves
from cluster.evaluation.texts import TextMode
from cluster.figures import write_png
from cluster.records import columns_of, plain, write_table
from shared.metrics import Curve
from shared.pictures import write_atomically

__all__ = ["summary_table", "write_curves", "write_report", "write_results"]

RESULT_SCHEMA = pa.schema(columns_of(ResultRow))


def write_results(path: Path, rows: Sequence[ResultRow]) -> None:
    """Every row, as Parquet."""
    write_table(path, [asdict(row) for row in rows], RESULT_SCHEMA)


def _write_json(path: Path, rows: Sequence[SummaryRow | BdRateRow]) -> None:
    """JSON has no infinity (PSNR of equal pictures): null stands for it."""
    table = [plain(asdict(row)) for row in rows]
    write_atomically(path, (json.dumps(table, indent=2) + "\n").encode())


def _write_plot(path: Path, curves: dict[str, Curve], label: str) -> None:
    """Quality over log-rate: our codecs solid and strong, baselines dashed."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, curve) in enumerate(curves.items()):
        style = "--" if name.startswith(BASELINES) else "-"
        axes.plot(
            curve.rates,
            curve.values,
            linestyle=style,
            linewidth=1.4 if style == "--" else 2.4,
            color=f"C{index % 10}",
            marker="osD^vP*X"[index % 8],
            label=name.removeprefix(BASELINES),
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("rate (bits per pixel of picture and caption)")
    axes.set_ylabel(label)
    axes.grid(which="both", alpha=0.25)
    if curves:
        axes.legend(loc="lower right")
    write_png(path, figure, 120)


def write_report(out: Path, result: EvaluationResult) -> None:
    """Write the tables, and a plot a metric."""
    write_results(out / "results.parquet", result.rows)
    _write_json(out / "summary.json", result.summary)
    _write_json(out / "bd_rate.json", result.bd_rates)
    write_curves(out, result.summary)


def write_curves(out: Path, summary: Sequence[SummaryRow]) -> None:
    """A rate-distortion plot a metric, ``rd_METRIC.png``."""
    for metric in METRICS:
        curves = {
            codec if text == TextMode.NONE else f"{codec}, {text}": curve_of(
                summary, codec, text, metric
            )
            for codec, text in named_curves(summary)
        }
        curves = {name: curve for name, curve in curves.items() if curve.rates}
        _write_plot(out / f"rd_{metric.name}.png", curves, metric.label)


def _shown(value: float | None, digits: int) -> str:
    """A figure, or a dash for what was not measured."""
    return "-" if value is None else f"{value:.{digits}f}"


def summary_table(summary: Sequence[SummaryRow]) -> Table:
    """The summary for a terminal of 80 columns: times, or what the words do where words were told."""
    pictures = max((row.pictures for row in summary), default=0)
    told = any(row.text != TextMode.NONE for row in summary)
    title = f"means over {pictures} pictures (SSIM2: SSIMULACRA2)"
    table = Table(title=title, box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("codec", no_wrap=True)
    if told:
        table.add_column("text", no_wrap=True)
    own = ("+text", "judge") if told else ("MS-SSIM", "enc ms", "dec ms")
    for heading in ("q", "bpp", "PSNR", "SSIM2", "features", *own):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in summary:
        figures = (
            str(row.quality),
            f"{row.bpp:.4f}",
            f"{row.psnr:.2f}",
            _shown(row.ssimulacra2, 1),
            _shown(row.feature_distance, 4),
            *(
                (f"{row.caption_bpp:.4f}", _shown(row.judge, 4))
                if told
                else (
                    _shown(row.ms_ssim, 4),
                    _shown(row.encode_ms, 1),
                    _shown(row.decode_ms, 1),
                )
            ),
        )
        style = None if row.codec.startswith(BASELINES) else "bold"
        table.add_row(row.codec, *((row.text,) if told else ()), *figures, style=style)
    return table
