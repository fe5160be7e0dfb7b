"""``sidewire send`` and ``sidewire captions``."""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer

from cluster.commands.options import Json
from cluster.commands.settings import settings_of
from cluster.console import EXIT_BAD_INPUT, errors_in_one_line, print_result, progress_console

__all__ = ["captions", "send"]


def send(context: typer.Context, json: Json = False) -> None:
    """Encode a feed's pictures and send them until every one is acked; go on after any stop."""
    with errors_in_one_line():
        from sender.settings import SendSettings  # noqa: PLC0415

        settings = settings_of(context, SendSettings)
        from sender.send import run_send  # noqa: PLC0415

        with progress_console.status("encoding the first pictures") as shown:
            sent = run_send(
                settings,
                lambda ended, held: shown.update(
                    f"{ended:,} pictures acked, {held:,} on their way"
                ),
            )
    for line in sent.failed:
        typer.echo(f"sidewire: {line}", err=True)
    values: dict[str, Any] = {"stream": sent.stream_id, "epoch": sent.epoch}
    values |= _by_end(sent.frames)
    values |= {"failed": len(sent.failed), "resent": sent.resent, "connections": sent.connections}
    values["seconds"] = sent.seconds
    print_result(values, json)
    if sent.failed:
        raise typer.Exit(EXIT_BAD_INPUT)


def captions(context: typer.Context, json: Json = False) -> None:
    """Publish a feed's captions, apart from its pictures: earlier, later or from another machine."""
    with errors_in_one_line():
        from sender.settings import CaptionSettings  # noqa: PLC0415

        settings = settings_of(context, CaptionSettings)
        from sender.captions import run_captions  # noqa: PLC0415

        published = run_captions(settings)
    count, before = published.captions.total(), published.ended_before
    if before and not count:
        typer.echo(
            f"sidewire: all {before:,} captions of stream {published.stream_id!r} had ended before:"
            " nothing was published",
            err=True,
        )
    values: dict[str, Any] = {"stream": published.stream_id, "epoch": published.epoch}
    values |= _by_end(published.captions)
    values |= {"published": count, "ended_before": before, "connections": published.connections}
    values["seconds"] = published.seconds
    print_result(values, json)
    if published.captions["REJECTED"]:
        raise typer.Exit(EXIT_BAD_INPUT)


def _by_end(ends: Counter[str]) -> dict[str, Any]:
    """How many ended how, for printing."""
    return {name.lower(): count for name, count in sorted(ends.items())}
