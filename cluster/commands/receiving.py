"""``sidewire receive`` and ``sidewire status``.

Parameters of these functions are settings: :func:`cluster.commands.options.settings_of` reads them by
their names, together with the environment and ``--config``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import (
    TLS,
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
from cluster.console import errors_in_one_line

__all__ = ["receive", "status"]


def receive(
    context: typer.Context,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Listen for pictures here. [dim]default: 127.0.0.1:7601[/]"
        ),
    ] = None,
    captions: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Listen for captions here. [dim]default: 127.0.0.1:7602[/]"
        ),
    ] = None,
    sink: Annotated[Path | None, typer.Option(help="Folder that decoded pictures go to.")] = None,
    sink_kind: Annotated[
        str | None,
        typer.Option(help="folder, parquet, subscriber or none. [dim]default: folder[/]"),
    ] = None,
    picture_format: Annotated[
        str | None, typer.Option(help="png, jpeg or webp. [dim]default: png[/]")
    ] = None,
    state: Annotated[Path | None, typer.Option(help="Folder of the ledger: keep it.")] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="[bold]wait[/] for a caption before decoding, or decode at once and [bold]refine[/]."
            " [dim]default: wait[/]"
        ),
    ] = None,
    caption_wait: Annotated[
        float | None, typer.Option(help="Seconds that a picture waits. [dim]default: 2[/]")
    ] = None,
    late_window: Annotated[
        float | None,
        typer.Option(help="Seconds in which a late caption is still used. [dim]default: 60[/]"),
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(help="processes of this machine, or ray. [dim]default: processes[/]"),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(help="Ray cluster of the decoders, or auto. [dim]default: one of its own[/]"),
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(help="Decodes streams of ssa: a codec or a folder. [dim]default: ssa[/]"),
    ] = None,
    bundle: BundleFolder = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file of the certificate.", rich_help_panel=TLS)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM file of its key.", rich_help_panel=TLS)
    ] = None,
    client_ca: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of authorities: senders must have a certificate of theirs.",
            rich_help_panel=TLS,
        ),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            help="YAML file, a list of {sender: NAME, token: SECRET}: senders must have one.",
            rich_help_panel=TLS,
        ),
    ] = None,
    plaintext_on_the_network: Annotated[
        bool,
        typer.Option(
            "--plaintext-on-the-network",
            help="Listen beyond this machine without TLS.",
            rich_help_panel=TLS,
        ),
    ] = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
    show_config: ShowConfig = False,
    json: Json = False,
) -> None:
    """Take pictures and captions from senders, decode, and deliver each picture exactly once.

    Stops in order on SIGTERM: takes nothing new, finishes what it holds.
    """
    with errors_in_one_line():
        from receiver.settings import ReceiveSettings  # noqa: PLC0415

        settings = settings_of(context, ReceiveSettings)
        if settings.decoder == "ray":
            from cluster.actors.receiving import serve_on_ray  # noqa: PLC0415

            serve_on_ray(settings)
        else:
            from receiver.serve import serve  # noqa: PLC0415

            serve(settings)


def status(
    context: typer.Context,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="The receiver's address. [dim]default: 127.0.0.1:7601[/]"
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again until Ctrl-C.")] = False,
    tls_ca: ReceiverAuthorities = None,
    tls_cert: ClientCertificate = None,
    tls_key: ClientKey = None,
    token_file: TokenFile = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    show_config: ShowConfig = False,
    json: Json = False,
) -> None:
    """Show a receiver's streams: what has ended, what is held, and whether storing works."""
    with errors_in_one_line():
        from sender.settings import StatusSettings  # noqa: PLC0415

        settings = settings_of(context, StatusSettings)
        from cluster.status import show_status  # noqa: PLC0415

        show_status(settings, json=json, watch=watch)
