"""``sidewire bench``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.commands.options import Json
from cluster.console import EXIT_USAGE, errors_in_one_line, print_columns, print_result, stop

if TYPE_CHECKING:
    from cluster.bench.arrivals import Load
    from cluster.bench.report import Report

__all__ = ["bench"]

PICTURES, LOAD, PIPELINE = "Pictures", "Load", "Pipeline"
CAPTIONS, MEASURING = "Captions", "Measuring"


class Decoder(enum.StrEnum):
    """What decodes."""

    PROCESSES = "processes"
    RAY = "ray"
    NOOP = "benchmark-noop"


class SenderKind(enum.StrEnum):
    """What sends."""

    PROCESSES = "processes"
    RAY = "ray"


class Sink(enum.StrEnum):
    """What becomes of decoded pictures."""

    FOLDER = "folder"
    NONE = "none"


def bench(
    out: Annotated[
        Path, typer.Option(help="Folder for frames.parquet, summary.json, plots and index.html.")
    ],
    feed: Annotated[
        Path | None,
        typer.Option(
            help="A feed of any kind that [bold]send[/] takes; else synthetic pictures.",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    size: Annotated[
        str, typer.Option(help="Of synthetic pictures.", rich_help_panel=PICTURES)
    ] = "768x512",
    codec: Annotated[
        str,
        typer.Option(
            help="See [bold]sidewire doctor[/]; sealed for a feed of containers.",
            rich_help_panel=PICTURES,
        ),
    ] = "base",
    generator: Annotated[
        str,
        typer.Option(
            help="What decodes streams of ssa: ssa or none, or a bundle's folder.",
            rich_help_panel=PICTURES,
        ),
    ] = "ssa",
    quality: Annotated[
        int | None,
        typer.Option(
            "--quality",
            "-q",
            help="0 is the smallest stream. [dim]default: the middle one[/]",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Open loop: pictures a second of all senders, whatever the pipeline does.",
            rich_help_panel=LOAD,
        ),
    ] = None,
    poisson: Annotated[
        bool,
        typer.Option("--poisson", help="With --rate: random gaps.", rich_help_panel=LOAD),
    ] = False,
    under_way: Annotated[
        int,
        typer.Option(
            min=1,
            help="Closed loop, without --rate: pictures of each sender at once.",
            rich_help_panel=LOAD,
        ),
    ] = 16,
    senders: Annotated[
        int, typer.Option(min=1, max=64, help="How many, a stream each.", rich_help_panel=LOAD)
    ] = 1,
    sender_kind: Annotated[
        SenderKind,
        typer.Option(
            help="With --decoder ray: ray, for actors on all of its nodes. The gateway listens on the "
            "cluster's network then, in plaintext: trust everyone there.",
            rich_help_panel=LOAD,
        ),
    ] = SenderKind.PROCESSES,
    encoders: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Encoding processes of each. [dim]default: its share of the cores[/]",
            rich_help_panel=LOAD,
        ),
    ] = None,
    decoder: Annotated[
        Decoder, typer.Option(help="What decodes.", rich_help_panel=PIPELINE)
    ] = Decoder.PROCESSES,
    decoders: Annotated[
        str,
        typer.Option(
            help="How many; several such as 1,2,4 to see how it scales.", rich_help_panel=PIPELINE
        ),
    ] = "1",
    batch: Annotated[
        int, typer.Option(min=1, help="Pictures in a batch, at most.", rich_help_panel=PIPELINE)
    ] = 8,
    ray_address: Annotated[
        str,
        typer.Option(
            help="With --decoder ray: a cluster that runs; else one is started here.",
            rich_help_panel=PIPELINE,
        ),
    ] = "",
    sink: Annotated[
        Sink, typer.Option(help="What becomes of pictures.", rich_help_panel=PIPELINE)
    ] = Sink.FOLDER,
    captions: Annotated[bool, typer.Option(help="Send them.", rich_help_panel=CAPTIONS)] = True,
    caption_delay: Annotated[
        float, typer.Option(min=0, help="Seconds behind pictures.", rich_help_panel=CAPTIONS)
    ] = 0.0,
    caption_loss: Annotated[
        float, typer.Option(min=0, max=1, help="Share never sent.", rich_help_panel=CAPTIONS)
    ] = 0.0,
    caption_wait: Annotated[
        float,
        typer.Option(min=0, help="Seconds that pictures wait for them.", rich_help_panel=CAPTIONS),
    ] = 2.0,
    frames: Annotated[
        int,
        typer.Option(
            min=1,
            help="Of each sender in a repeat, rounded up to whole feeds.",
            rich_help_panel=MEASURING,
        ),
    ] = 200,
    warmup: Annotated[
        int,
        typer.Option(
            min=0,
            help="Frames before, uncounted; in a closed loop at least --under-way.",
            rich_help_panel=MEASURING,
        ),
    ] = 20,
    repeats: Annotated[
        int, typer.Option(min=1, max=20, help="At least.", rich_help_panel=MEASURING)
    ] = 3,
    most_repeats: Annotated[
        int, typer.Option(min=1, max=20, help="At most.", rich_help_panel=MEASURING)
    ] = 10,
    width: Annotated[
        float,
        typer.Option(
            min=0,
            help="Stop when the 95 % interval of frames/s is no wider, as a share of it.",
            rich_help_panel=MEASURING,
        ),
    ] = 0.05,
    slo: Annotated[
        str,
        typer.Option(
            help="What goodput counts, such as e2e_ms=500,text_rate=0.9.",
            rich_help_panel=MEASURING,
        ),
    ] = "",
    references: Annotated[
        bool,
        typer.Option(help="Measure a bare loop and CompressAI too.", rich_help_panel=MEASURING),
    ] = True,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Report of an earlier run to compare with.", rich_help_panel=MEASURING),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.", rich_help_panel=MEASURING)] = 0,
    json: Json = False,
) -> None:
    """Measure pictures a second and latencies of a whole pipeline on this machine or a Ray cluster.

    Latencies count from the time at which a picture was meant to be sent. The gateway is always on this
    machine.
    """
    with errors_in_one_line():
        from cluster.bench.options import (  # noqa: PLC0415
            BenchError,
            BenchOptions,
            CaptionLoad,
            Size,
            Slo,
            counts,
        )

        try:
            options = BenchOptions(
                out=out,
                feed=feed,
                size=Size.parse(size),
                codec=codec,
                generator=generator,
                quality=quality,
                senders=senders,
                sender_kind=sender_kind.value,
                encoders=encoders,
                decoder=decoder.value,
                decoders=counts(decoders),
                batch=batch,
                ray_address=ray_address,
                load=_load(rate, poisson, under_way, seed),
                captions=CaptionLoad(caption_delay, caption_loss, caption_wait)
                if captions
                else None,
                sink=sink.value,
                frames=frames,
                warmup=warmup,
                least_repeats=repeats,
                most_repeats=max(repeats, most_repeats),
                width=width,
                slo=Slo.parse(slo),
                references=references,
                baseline=baseline,
                seed=seed,
            )
        except BenchError as error:
            stop(error, EXIT_USAGE)
        from cluster.bench.run import run_bench  # noqa: PLC0415

        report = run_bench(options, lambda line: typer.echo(line, err=True))
    _print(report, out, json)


def _load(rate: float | None, poisson: bool, under_way: int, seed: int) -> Load:
    from cluster.bench.arrivals import ClosedLoop, OpenLoop  # noqa: PLC0415
    from cluster.bench.options import BenchError  # noqa: PLC0415

    if rate is not None:
        return OpenLoop(rate, poisson, seed)
    if poisson:
        raise BenchError("poisson gaps are of an open loop: give --rate too")
    return ClosedLoop(under_way)


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
