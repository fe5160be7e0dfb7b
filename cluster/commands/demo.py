"""``sidewire demo``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json
from cluster.console import EXIT_USAGE, EXIT_WORK_LEFT, errors_in_one_line, print_result, stop

__all__ = ["demo"]


class Decoder(enum.StrEnum):
    """Where pictures are decoded."""

    RAY = "ray"
    PROCESSES = "processes"


CONTROLS = "Can be changed on the page"


def demo(
    feed: Annotated[
        Path | None,
        typer.Option(help="A feed of any kind that [bold]send[/] takes; else the shipped ones."),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            help="ssa reads captions, none is its twin that does not. [dim]default: ssa[/]"
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            "--quality", "-q", help="0 is the smallest stream. [dim]default: the codec's[/]"
        ),
    ] = None,
    decoder: Annotated[
        Decoder, typer.Option(help="Decode on Ray, or in plain processes.")
    ] = Decoder.RAY,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first pictures.")] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="The feed once, without a page, then end.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="With --headless: folder for report.json and a page to open from disk."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the page, on 127.0.0.1; 0 for any free one.")
    ] = 0,
    rate: Annotated[float, typer.Option(help="Pictures a second.", rich_help_panel=CONTROLS)] = 1.0,
    caption_delay: Annotated[
        float, typer.Option(help="Seconds after the picture.", rich_help_panel=CONTROLS)
    ] = 2.0,
    loss: Annotated[
        float, typer.Option(help="Share of captions never sent.", rich_help_panel=CONTROLS)
    ] = 0.0,
    mismatch: Annotated[
        float,
        typer.Option(help="Share of captions of another picture.", rich_help_panel=CONTROLS),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of what captions meet.")] = 0,
    json: Json = False,
) -> None:
    """Replay a news feed over real sockets: pictures appear at once, captions refine them.

    A page shows it live, until Ctrl-C. Headless it ends with the feed and leaves a report.
    """
    with errors_in_one_line():
        from pydantic import ValidationError  # noqa: PLC0415

        from cluster.demo import DemoOptions, run_demo  # noqa: PLC0415
        from receiver.viewer.desk import Controls  # noqa: PLC0415
        from shared.settings import SettingsError  # noqa: PLC0415

        if report is not None and not headless:
            stop(
                SettingsError("--report is written at the end of a feed: give --headless too"),
                EXIT_USAGE,
            )
        try:
            controls = Controls(
                rate=rate, caption_delay=caption_delay, loss=loss, mismatch=mismatch
            )
        except ValidationError as error:
            first = error.errors()[0]
            flag = str(first["loc"][0]).replace("_", "-")
            stop(SettingsError(f"--{flag} is {first['input']}: {first['msg']}"), EXIT_USAGE)
        options = DemoOptions(
            feed=feed,
            codec=codec,
            quality=quality,
            decoder=decoder.value,
            limit=limit,
            headless=headless,
            report=report,
            port=port,
            seed=seed,
            controls=controls,
        )
        summary = run_demo(options, lambda line: typer.echo(line, err=json))
    if summary is None:
        raise typer.Exit(EXIT_WORK_LEFT if headless else 0)
    print_result(summary.to_json(), json)
    if report is not None and not json:
        typer.echo(f"Look at the pictures: {report / 'index.html'}")
