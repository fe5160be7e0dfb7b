"""``sidewire receive`` and ``sidewire status``."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.commands.options import Json
from cluster.commands.settings import settings_of
from cluster.console import errors_in_one_line
from shared.extras import need

__all__ = ["receive", "status"]


def receive(context: typer.Context, json: Json = False) -> None:
    """Take pictures and captions from senders, decode, and deliver each picture exactly once.

    Stops in order on SIGTERM: takes nothing new, finishes what it holds.
    """
    with errors_in_one_line():
        from receiver.settings import ReceiveSettings  # noqa: PLC0415

        settings = settings_of(context, ReceiveSettings)
        need("receive", "gateway")
        if settings.decoder == "ray":
            need("decoder ray", "ray")
            from cluster.actors.receiving import serve_on_ray  # noqa: PLC0415

            serve_on_ray(settings)
        else:
            from receiver.serve import serve  # noqa: PLC0415

            serve(settings)


def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Show a receiver's streams, how pictures and captions ended, its decoders, and whether storing works."""
    with errors_in_one_line():
        from sender.settings import StatusSettings  # noqa: PLC0415

        settings = settings_of(context, StatusSettings)
        from cluster.status import show_status  # noqa: PLC0415

        show_status(settings, json=json, watch=watch)
