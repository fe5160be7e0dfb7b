"""``sidewire bench``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.commands.options import Json
from cluster.commands.settings import settings_of
from cluster.console import (
    EXIT_USAGE,
    errors_in_one_line,
    print_columns,
    print_rendered,
    print_result,
    stop,
)
from shared.extras import need

if TYPE_CHECKING:
    from cluster.bench.report import Report

__all__ = ["bench"]


PlanText = Annotated[
    str | None,
    typer.Option(
        "--plan",
        metavar="nodes=N,cpus=N",
        help="Measure nothing: work out pictures a second of so many nodes with so many CPUs (or gpus=N with"
        " gpu_rate=, each). Also gateways=, sender_cpus=, mbit=, and report= for the folder of a run of this"
        " command, whose service times count.",
    ),
]


def bench(context: typer.Context, json: Json = False, plan: PlanText = None) -> None:
    """Measure pictures a second and latencies of a whole pipeline on this machine or a Ray cluster.

    Latencies count from the time at which a picture was meant to be sent. The gateway is always on this
    machine.
    """
    if plan is not None:
        _plan(plan, json)
        return
    with errors_in_one_line():
        from cluster.bench.options import BenchOptions  # noqa: PLC0415

        options = settings_of(context, BenchOptions)
        need("bench", "all")
        from cluster.bench.run import run_bench  # noqa: PLC0415
        from cluster.progress import Meter  # noqa: PLC0415

        with Meter("pictures") as meter:
            report = run_bench(options, meter)
    _print(report, options.out, json)


def _plan(text: str, as_json: bool) -> None:
    from cluster.bench.capacity import Plan, PlanError, capacity  # noqa: PLC0415
    from cluster.bench.capacity_table import as_table  # noqa: PLC0415
    from cluster.bench.service_times import ServiceTimes  # noqa: PLC0415

    try:
        plan = Plan.parse(text)
    except PlanError as error:
        stop(error, EXIT_USAGE)
    with errors_in_one_line():
        found = capacity(plan, ServiceTimes.read(plan.report))
    if as_json:
        print_result(asdict(found) | {"plan": text}, as_json)
    else:
        print_rendered(as_table(found))


def _print(report: Report, out: Path, as_json: bool) -> None:
    from cluster.bench.report import shown  # noqa: PLC0415

    result = report.result
    if as_json:
        print_result(result.to_json(), as_json)
        return
    heading = ("decoders", "offered/s", "achieved/s", "goodput/s", "p50 ms", "p99 ms", "of bare")
    lines = [
        (
            str(point.decoders),
            *map(shown, (point.offered, point.achieved, point.goodput)),
            *(shown(one, 1) for one in (point.e2e_p50_ms, point.e2e_p99_ms)),
            shown(point.efficiency_vs_bare_loop, 3),
        )
        for point in result.points
    ]
    print_columns([heading, *lines])
    beside = []
    if result.speed_vs_compressai is not None:
        beside.append(("times CompressAI's speed", f"{result.speed_vs_compressai:.2f}"))
    if result.compressai_quality and result.compressai_quality.against_trained is not None:
        saved = f"{result.compressai_quality.against_trained:+.1f} %"
        beside.append(("bits against its model, trained as long", saved))
    if beside:
        print_columns(beside)
    for change in report.changes:
        if change.worse:
            name = f"decoders: {change.decoders}, {change.figure}"
            typer.echo(f"worse than the baseline: {name}, {change.ratio:.3f} of it", err=True)
    if not result.valid:
        typer.echo("The load generators were late: these figures do not stand.", err=True)
    typer.echo(f"Look at the report: {out / 'index.html'}")
