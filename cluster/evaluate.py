"""Rate and distortion of codecs over a feed: real bytes, means over pictures, BD-rates and plots.

Into the output folder go ``results.parquet`` (one row a picture, codec and quality),
``summary.json`` (means over the pictures), ``bd_rate.json`` and ``rd_<metric>.png``. A picture that
cannot be read and a codec that fails on a picture are reported, and the rest goes on.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import shared.codecs  # noqa: F401  (importing it registers the codecs)
from shared.codecs.registry import codec_names, get_codec
from shared.errors import QualityError, SidewireError, UnknownCodecError
from shared.feed import count_rows, read_feed
from shared.metrics import Curve, bd_rate, ms_ssim, ms_ssim_db, psnr, ssimulacra2
from shared.metrics.bd_rate import RATE_WINDOW
from shared.pictures import Picture, picture_from_bytes, write_atomically

__all__ = [
    "BdRateRow",
    "EvaluationResult",
    "Failure",
    "ResultRow",
    "SummaryRow",
    "evaluate",
    "summary_table",
]

BASELINES = "baseline/"
#: Baselines are compared with each other by way of this one.
COMMON_ANCHOR = "baseline/webp"
#: No codec here reads a caption yet.
NO_TEXT = "none"

Levels = dict[str, tuple[int, ...]]
T = TypeVar("T")


@dataclass(frozen=True)
class ResultRow:
    """One picture through one codec at one quality.

    Attributes:
        bytes: length of the blob; ``bpp`` is eight times that by the true picture's pixels.
        caption_bytes, caption_bpp: of the caption that the codec was given.
        ms_ssim, ssimulacra2: None where the picture is too small, or not measured.
        encode_ms, decode_ms: None where other processes ran beside.
    """

    id: str
    codec: str
    quality: int
    text: str
    width: int
    height: int
    bytes: int
    bpp: float
    caption_bytes: int
    caption_bpp: float
    psnr: float
    ms_ssim: float | None
    ssimulacra2: float | None
    encode_ms: float | None
    decode_ms: float | None


@dataclass(frozen=True)
class Failure:
    """What could not be measured: a whole picture (no codec), or one codec and quality of it."""

    id: str
    codec: str | None
    quality: int | None
    reason: str

    def __str__(self) -> str:
        where = "" if self.codec is None else f", {self.codec} at {self.quality}"
        return f"picture {self.id}{where}: {self.reason}"


@dataclass(frozen=True)
class SummaryRow:
    """Means of a codec's rows at a quality, each over the pictures that have the figure."""

    codec: str
    quality: int
    text: str
    pictures: int
    bpp: float
    caption_bpp: float
    psnr: float
    ms_ssim: float | None
    ssimulacra2: float | None
    encode_ms: float | None
    decode_ms: float | None


@dataclass(frozen=True)
class BdRateRow:
    """BD-rate of a codec against an anchor; None where none exists (:mod:`shared.metrics`)."""

    codec: str
    anchor: str
    metric: str
    percent: float | None
    low_value: float | None
    high_value: float | None
    window_bpp: tuple[float, float]


@dataclass(frozen=True)
class EvaluationResult:
    """All that :func:`evaluate` found; the first three are also in its folder."""

    rows: tuple[ResultRow, ...]
    summary: tuple[SummaryRow, ...]
    bd_rates: tuple[BdRateRow, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Metric:
    """A curve's quality axis."""

    name: str
    label: str
    of: Callable[[SummaryRow], float | None]


METRICS = (
    Metric("psnr", "PSNR (dB)", lambda row: row.psnr),
    Metric(
        "ms_ssim",
        "MS-SSIM (dB)",
        lambda row: None if row.ms_ssim is None else ms_ssim_db(row.ms_ssim),
    ),
    Metric("ssimulacra2", "SSIMULACRA2", lambda row: row.ssimulacra2),
)

# -- measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """One picture through one codec at all its levels: the unit of work of a process."""

    id: str
    picture: Picture
    codec: str
    levels: tuple[int, ...]
    with_ssimulacra2: bool
    timed: bool
    warm_up: bool


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    """A call's result and its wall time in milliseconds."""
    start = time.perf_counter()
    result = call()
    return result, 1000 * (time.perf_counter() - start)


def _measure_level(task: Task, level: int) -> ResultRow:
    codec = get_codec(task.codec)
    encoded, encode_ms = _timed(lambda: codec.encode(task.picture, level))
    decoded, decode_ms = _timed(lambda: codec.decode(encoded.blob).picture)
    return ResultRow(
        id=task.id,
        codec=task.codec,
        quality=level,
        text=NO_TEXT,
        width=encoded.width,
        height=encoded.height,
        bytes=len(encoded.blob),
        bpp=encoded.bits_per_pixel,
        caption_bytes=0,
        caption_bpp=0.0,
        psnr=psnr(task.picture, decoded),
        ms_ssim=ms_ssim(task.picture, decoded),
        ssimulacra2=ssimulacra2(task.picture, decoded) if task.with_ssimulacra2 else None,
        encode_ms=encode_ms if task.timed else None,
        decode_ms=decode_ms if task.timed else None,
    )


def _measure(task: Task | Failure) -> list[ResultRow | Failure]:
    """An outcome for each level; a picture that could not be read passes through."""
    if isinstance(task, Failure):
        return [task]
    if task.warm_up:
        codec = get_codec(task.codec)
        with suppress(Exception):  # what fails here fails again below, and is reported there
            codec.decode(codec.encode(task.picture, task.levels[0]).blob)
    outcomes: list[ResultRow | Failure] = []
    for level in task.levels:
        try:
            outcomes.append(_measure_level(task, level))
        except Exception as error:  # a codec may fail in any way: the others go on
            reason = f"{type(error).__name__}: {error}"
            outcomes.append(Failure(task.id, task.codec, level, reason))
    return outcomes


def _levels(patterns: Sequence[str], qualities: Sequence[int] | Literal["all"]) -> Levels:
    """The levels to measure of every codec that a pattern names; loads the codecs."""
    levels: Levels = {}
    for pattern in patterns:
        names = [name for name in codec_names() if fnmatchcase(name, pattern)]
        if not names:
            raise UnknownCodecError(f"no codec {pattern!r}; known: {', '.join(codec_names())}")
        for name in names:
            own = get_codec(name).qualities
            levels[name] = tuple(q for q in own if qualities == "all" or q in qualities)
            if not levels[name]:
                raise QualityError(f"{name} has none of the qualities {qualities}, but {own}")
    return levels


def _tasks(
    feed: Path, levels: Levels, ssimulacra2_every: int, limit: int | None, timed: bool
) -> Iterator[Task | Failure]:
    cold = set(levels) if timed else set()
    for index, row in enumerate(islice(read_feed(feed), limit)):
        try:
            picture = picture_from_bytes(row.image)
        except SidewireError as error:
            yield Failure(row.id, None, None, str(error))
            continue
        scored = ssimulacra2_every > 0 and index % ssimulacra2_every == 0
        for name, own in levels.items():
            yield Task(row.id, picture, name, own, scored, timed, warm_up=name in cold)
            cold.discard(name)


def _outcomes(tasks: Iterable[Task | Failure], jobs: int) -> Iterator[list[ResultRow | Failure]]:
    """Measure tasks in order, here or in ``jobs`` processes with a few tasks in flight."""
    if jobs == 1:
        yield from map(_measure, tasks)
        return
    # A fork would copy torch's threads and locks in any state; one thread a process, or the
    # processes fight over the cores.
    with ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        flying: deque[Future[list[ResultRow | Failure]]] = deque()
        for task in tasks:
            flying.append(pool.submit(_measure, task))
            if len(flying) > 2 * jobs:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()


# -- means, BD-rates ------------------------------------------------------------------------------


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _summarise(rows: Iterable[ResultRow], levels: Levels) -> tuple[SummaryRow, ...]:
    groups: dict[tuple[str, int], list[ResultRow]] = defaultdict(list)
    for row in rows:
        groups[row.codec, row.quality].append(row)
    keys = [(name, level) for name, own in levels.items() for level in own]
    return tuple(
        SummaryRow(
            codec=name,
            quality=level,
            text=NO_TEXT,
            pictures=len(group),
            bpp=fmean(row.bpp for row in group),
            caption_bpp=fmean(row.caption_bpp for row in group),
            psnr=fmean(row.psnr for row in group),
            ms_ssim=_mean(row.ms_ssim for row in group),
            ssimulacra2=_mean(row.ssimulacra2 for row in group),
            encode_ms=_mean(row.encode_ms for row in group),
            decode_ms=_mean(row.decode_ms for row in group),
        )
        for name, level in keys
        if (group := groups[name, level])
    )


def _curve(summary: Sequence[SummaryRow], codec: str, metric: Metric) -> Curve:
    rows = [row for row in summary if row.codec == codec]
    points = [(row.bpp, value) for row in rows if (value := metric.of(row)) is not None]
    return Curve(tuple(rate for rate, _ in points), tuple(value for _, value in points))


def _bd_rates(
    summary: Sequence[SummaryRow], levels: Levels, window: tuple[float, float]
) -> tuple[BdRateRow, ...]:
    """Every codec of ours against every baseline, and the baselines against the common anchor."""
    baselines = [name for name in levels if name.startswith(BASELINES)]
    pairs = [
        (codec, anchor)
        for codec in levels
        for anchor in baselines
        if codec not in baselines or (anchor == COMMON_ANCHOR != codec)
    ]
    rows = []
    for codec, anchor in pairs:
        for metric in METRICS:
            curves = _curve(summary, anchor, metric), _curve(summary, codec, metric)
            found = bd_rate(*curves, *window)
            rows.append(
                BdRateRow(
                    codec=codec,
                    anchor=anchor,
                    metric=metric.name,
                    percent=found.percent if found else None,
                    low_value=found.low_value if found else None,
                    high_value=found.high_value if found else None,
                    window_bpp=window,
                )
            )
    return tuple(rows)


# -- what is written ------------------------------------------------------------------------------

_ARROW_TYPES = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
RESULT_SCHEMA = pa.schema(
    [
        pa.field(
            field.name,
            _ARROW_TYPES[str(field.type).removesuffix(" | None")],
            nullable=str(field.type).endswith("None"),
        )
        for field in fields(ResultRow)
    ]
)


def _write_results(path: Path, rows: Sequence[ResultRow]) -> None:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], RESULT_SCHEMA), file)
    write_atomically(path, file.getvalue())


def _write_json(path: Path, rows: Sequence[SummaryRow | BdRateRow]) -> None:
    """JSON has no infinity (PSNR of equal pictures): null stands for it."""

    def plain(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    table = [{name: plain(value) for name, value in asdict(row).items()} for row in rows]
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
    axes.set_xlabel("rate (bits per pixel)")
    axes.set_ylabel(label)
    axes.grid(which="both", alpha=0.25)
    if curves:
        axes.legend(loc="lower right")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    write_atomically(path, file.getvalue())


def _write(out: Path, result: EvaluationResult, levels: Levels) -> None:
    _write_results(out / "results.parquet", result.rows)
    _write_json(out / "summary.json", result.summary)
    _write_json(out / "bd_rate.json", result.bd_rates)
    for metric in METRICS:
        curves = {name: _curve(result.summary, name, metric) for name in levels}
        curves = {name: curve for name, curve in curves.items() if curve.rates}
        _write_plot(out / f"rd_{metric.name}.png", curves, metric.label)


def summary_table(summary: Sequence[SummaryRow]) -> Table:
    """The summary for a terminal; a dash stands for what was not measured."""
    table = Table("codec", "quality", "pictures", title="means over the pictures")
    for heading in ("bpp", "PSNR", "MS-SSIM", "SSIMULACRA2", "encode ms", "decode ms"):
        table.add_column(heading, justify="right")
    for row in summary:
        figures = (
            f"{row.bpp:.4f}",
            f"{row.psnr:.2f}",
            "-" if row.ms_ssim is None else f"{row.ms_ssim:.4f}",
            *(
                "-" if value is None else f"{value:.1f}"
                for value in (row.ssimulacra2, row.encode_ms, row.decode_ms)
            ),
        )
        table.add_row(row.codec, str(row.quality), str(row.pictures), *figures)
    return table


def evaluate(
    feed: Path,
    codecs: Sequence[str],
    qualities: Sequence[int] | Literal["all"],
    out: Path,
    *,
    ssimulacra2_every: int = 1,
    limit: int | None = None,
    progress: Progress | None = None,
    jobs: int = 1,
    window: tuple[float, float] = RATE_WINDOW,
) -> EvaluationResult:
    """Measure codecs on a feed and write the tables and plots.

    Args:
        codecs: names, or patterns such as ``baseline/*``.
        qualities: levels to measure; a codec without some of them is measured at the others.
        out: folder for the files, made if need be.
        ssimulacra2_every: score every n-th picture by SSIMULACRA2, the slowest metric; 0 for none.
        limit: of pictures, from the feed's start.
        progress: a running display to add a bar to and to warn on; warnings alone go to stderr.
        jobs: processes. Times are measured with one only, after an uncounted run of each codec.
        window: bits per pixel between which BD-rates are taken.

    Raises:
        UnknownCodecError, QualityError, BundleError: a codec cannot be had, before any work.
        FeedError: the feed cannot be read. SidewireError: ``out`` cannot be written.
    """
    levels = _levels(codecs, qualities)
    pictures = count_rows(feed) if limit is None else min(limit, count_rows(feed))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SidewireError(f"cannot write {out}: {error.strerror}") from None

    rows: list[ResultRow] = []
    failures: list[Failure] = []
    shown = progress or Progress(console=Console(stderr=True), disable=True)
    bar = shown.add_task("evaluating", total=pictures * len(levels))
    tasks = _tasks(feed, levels, ssimulacra2_every, limit, timed=jobs == 1)
    for outcomes in _outcomes(tasks, jobs):
        for outcome in outcomes:
            if isinstance(outcome, ResultRow):
                rows.append(outcome)
            else:
                failures.append(outcome)
                shown.console.print(f"warning: {outcome}", style="yellow", markup=False)
        shown.advance(bar, len(levels) if outcomes[0].codec is None else 1)

    summary = _summarise(rows, levels)
    bd_rates = _bd_rates(summary, levels, window)
    result = EvaluationResult(tuple(rows), summary, bd_rates, tuple(failures))
    _write(out, result, levels)
    return result
