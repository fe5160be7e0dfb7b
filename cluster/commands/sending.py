"""``sidewire send`` and ``sidewire captions``.

Parameters of these functions are settings: :func:`cluster.commands.options.settings_of` reads them by
their names, together with the environment and ``--config``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.commands.options import (
    Assignments,
    BundleFolder,
    ClientCertificate,
    ClientKey,
    ConfigFile,
    Json,
    ReceiverAuthorities,
    ShowConfig,
    TokenFile,
    settings_of,
)
from cluster.console import EXIT_BAD_INPUT, errors_in_one_line, print_result, progress_console

__all__ = ["captions", "send"]

EXPERIMENT = "Captions that come late, in disorder or not at all"

Feed = Annotated[
    str | None,
    typer.Option(
        help="Parquet or Arrow file, folder of pictures, or - for Arrow on standard input."
    ),
]
Stream = Annotated[str | None, typer.Option(help="The stream's id; else the feed's name.")]
Repeat = Annotated[
    int | None, typer.Option(help="Send the feed so many times; 0 for ever. [dim]default: 1[/]")
]
Rate = Annotated[float | None, typer.Option(help="Most messages a second.")]


def send(
    context: typer.Context,
    feed: Feed = None,
    images: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The receiver's address for pictures.")
    ] = None,
    captions: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Its address for captions; without it, none are sent."
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the journal. [dim]default: in ~/.local/state/sidewire/send[/]"
        ),
    ] = None,
    stream: Stream = None,
    codec: Annotated[
        str | None, typer.Option(help="See [bold]sidewire doctor[/]. [dim]default: base[/]")
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            "--quality", "-q", help="0 is the smallest stream. [dim]default: the middle one[/]"
        ),
    ] = None,
    bundle: BundleFolder = None,
    processes: Annotated[
        int | None, typer.Option(help="Encoding at once. [dim]default: one a core[/]")
    ] = None,
    repeat: Repeat = None,
    rate: Rate = None,
    again: Annotated[
        bool, typer.Option("--again", help="Send a feed once more that was acked whole.")
    ] = False,
    caption_delay: Annotated[
        float | None, typer.Option(help="Seconds.", rich_help_panel=EXPERIMENT)
    ] = None,
    caption_delay_jitter: Annotated[
        float | None, typer.Option(help="Seconds more at most.", rich_help_panel=EXPERIMENT)
    ] = None,
    caption_drop: Annotated[
        float | None, typer.Option(help="Share, 0 to 1.", rich_help_panel=EXPERIMENT)
    ] = None,
    caption_shuffle: Annotated[
        int | None, typer.Option(help="Captions that are mixed up.", rich_help_panel=EXPERIMENT)
    ] = None,
    tls_ca: ReceiverAuthorities = None,
    tls_cert: ClientCertificate = None,
    tls_key: ClientKey = None,
    token_file: TokenFile = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    show_config: ShowConfig = False,
    json: Json = False,
) -> None:
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


def captions(
    context: typer.Context,
    feed: Feed = None,
    to: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The receiver's address for captions.")
    ] = None,
    stream: Stream = None,
    which: Annotated[
        int | None, typer.Option(help="Of a picture's captions, from 0. [dim]default: 0[/]")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Of the captions, such as en.")] = None,
    repeat: Repeat = None,
    rate: Rate = None,
    delay: Annotated[
        float | None, typer.Option(help="Seconds.", rich_help_panel=EXPERIMENT)
    ] = None,
    delay_jitter: Annotated[
        float | None, typer.Option(help="Seconds more at most.", rich_help_panel=EXPERIMENT)
    ] = None,
    drop: Annotated[
        float | None, typer.Option(help="Share, 0 to 1.", rich_help_panel=EXPERIMENT)
    ] = None,
    shuffle: Annotated[
        int | None, typer.Option(help="Captions that are mixed up.", rich_help_panel=EXPERIMENT)
    ] = None,
    tls_ca: ReceiverAuthorities = None,
    tls_cert: ClientCertificate = None,
    tls_key: ClientKey = None,
    token_file: TokenFile = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    show_config: ShowConfig = False,
    json: Json = False,
) -> None:
    """Publish a feed's captions, apart from its pictures: earlier, later or from another machine."""
    with errors_in_one_line():
        from sender.settings import CaptionSettings  # noqa: PLC0415

        settings = settings_of(context, CaptionSettings)
        from sender.captions import run_captions  # noqa: PLC0415

        ended = run_captions(settings)
    print_result(_by_end(ended), json)
    if ended["REJECTED"]:
        raise typer.Exit(EXIT_BAD_INPUT)


def _by_end(ends: Counter[str]) -> dict[str, Any]:
    """How many ended how, for printing."""
    return {name.lower(): count for name, count in sorted(ends.items())}
