"""``sidewire demo``."""

from __future__ import annotations

import typer

from cluster.commands.options import Json
from cluster.commands.settings import settings_of
from cluster.console import EXIT_WORK_LEFT, errors_in_one_line, print_result
from shared.extras import need

__all__ = ["demo"]


def demo(context: typer.Context, json: Json = False) -> None:
    """Replay a news feed over real sockets: pictures appear at once, captions refine them.

    A page shows it live, until Ctrl-C. Headless it ends with the feed and leaves a report.
    """
    with errors_in_one_line():
        from cluster.demo.options import DemoOptions  # noqa: PLC0415

        options = settings_of(context, DemoOptions)
        need("demo", "all")
        from cluster.demo.run import run_demo  # noqa: PLC0415
        from cluster.progress import Meter  # noqa: PLC0415

        with Meter("pictures", shown=options.headless) as meter:
            summary = run_demo(options, lambda line: typer.echo(line, err=json), meter)
    if summary is None:
        raise typer.Exit(EXIT_WORK_LEFT if options.headless else 0)
    print_result(summary.to_json(), json)
    if options.report is not None and not json:
        typer.echo(f"Look at the pictures: {options.report / 'index.html'}")
