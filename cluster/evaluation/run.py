"""``sidewire eval``: measure, summarise, write. What fails is reported, and the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import Progress

from cluster.console import progress_bars
from cluster.evaluation.collect import collect
from cluster.evaluation.measure import chosen_levels, entries_of, tasks_of, texts_of
from cluster.evaluation.report import summary_table, write_report
from cluster.evaluation.rows import EvaluationResult
from cluster.evaluation.summary import bd_rates, summarise
from cluster.evaluation.texts import TextMode, parse_modes
from shared.errors import QualityError, SidewireError
from shared.metrics.bd_rate import RATE_WINDOW
from shared.metrics.matching import check_matchers

__all__ = ["evaluate", "evaluate_command", "parse_levels"]


def evaluate(
    feed: Path,
    codecs: Sequence[str],
    qualities: Sequence[int] | Literal["all"],
    out: Path,
    *,
    text: Sequence[TextMode] = (TextMode.MATCHED,),
    ssimulacra2_every: int = 1,
    matching: bool = True,
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
        text: what a codec that reads captions is told, at whichever end; one that reads none is measured
            once.
        ssimulacra2_every: score every n-th picture by SSIMULACRA2, the slowest metric; 0 for none.
        matching: take feature distance and judge score.
        limit: of pictures, from the feed's start.
        progress: a running display to add a bar to and to warn on; warnings alone go to stderr.
        jobs: processes. Times are measured with one only, after an uncounted run of each codec.
        window: bits per pixel between which BD-rates are taken.

    Raises:
        UnknownCodecError, QualityError, BundleError: a codec or a matcher cannot be had, before any work.
        FeedError: the feed cannot be read. TextModeError: it has too few captions.
        SidewireError: ``out`` cannot be written.
    """
    levels = chosen_levels(codecs, qualities)
    if matching:
        check_matchers()
    texts = texts_of(feed, text, limit)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SidewireError(f"cannot write {out}: {error.strerror}") from None

    shown = progress or Progress(console=Console(stderr=True), disable=True)
    bar = shown.add_task("evaluating", total=len(texts) * len(levels))
    tasks = tasks_of(
        feed, entries_of(levels), texts, ssimulacra2_every, matching=matching, timed=jobs == 1
    )
    rows, failures = collect(tasks, jobs, len(levels), shown, bar)
    summary = summarise(rows, levels)
    rates = bd_rates(summary, window)
    result = EvaluationResult(tuple(rows), summary, rates, tuple(failures))
    write_report(out, result)
    return result


def parse_levels(option: str, levels: str) -> tuple[int, ...] | Literal["all"]:
    """Levels by their numbers, commas between, or all.

    Raises:
        QualityError: they are neither; the message names the option.
    """
    if levels == "all":
        return "all"
    try:
        return tuple(int(level) for level in levels.split(","))
    except ValueError:
        raise QualityError(
            f"{option} is {levels!r}, must be 'all' or whole numbers with commas between"
        ) from None


def evaluate_command(
    feed: Path,
    codecs: str,
    qualities: str,
    out: Path,
    text: str,
    ssimulacra2_every: int,
    matching: bool,
    limit: int | None,
    jobs: int,
    as_json: bool,
) -> None:
    """What ``sidewire eval`` does; prints the table, or the summary as JSON.

    Raises:
        SidewireError: as :func:`evaluate`, or when no picture could be measured.
    """
    with progress_bars() as progress:
        result = evaluate(
            feed,
            [name.strip() for name in codecs.split(",")],
            parse_levels("--qualities", qualities),
            out,
            text=parse_modes(text),
            ssimulacra2_every=ssimulacra2_every,
            matching=matching,
            limit=limit,
            progress=progress,
            jobs=jobs,
        )
    if not result.rows:
        raise SidewireError(f"{feed}: no picture could be measured")
    if as_json:
        print(json.dumps([asdict(row) for row in result.summary]))
    else:
        Console().print(summary_table(result.summary))
        Console().print(f"Tables and plots are in {out}", soft_wrap=True)
