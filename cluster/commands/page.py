"""``sidewire page``."""

from __future__ import annotations

import typer

from cluster.commands.options import Json
from cluster.commands.settings import settings_of
from cluster.console import errors_in_one_line, print_result
from shared.extras import need

__all__ = ["page"]


def page(context: typer.Context, json: Json = False) -> None:
    """Serve a page that compresses pictures of your own: drop one, and see it beside the original.

    Nothing else has to run. Until Ctrl-C.
    """
    with errors_in_one_line():
        from receiver.viewer.upload.settings import PageSettings  # noqa: PLC0415

        settings = settings_of(context, PageSettings)
        need("page", "gateway")
        need("page", "research")
        from receiver.viewer.upload.serve import serve_page  # noqa: PLC0415

        def ready(address: str) -> None:
            if json:
                print_result({"page": address}, as_json=True)
            else:
                typer.echo(f"The page is at {address} - Ctrl-C ends it.")

        serve_page(settings, ready)
