"""The upload page as a program of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from receiver.viewer.answers import HOST, listen
from receiver.viewer.upload.routes import create_upload_app
from receiver.viewer.upload.settings import PageSettings
from receiver.viewer.upload.studio import Studio
from receiver.web import WebServer

__all__ = ["serve_page"]


async def _serve(settings: PageSettings, folder: Path, ready: Callable[[str], None]) -> None:
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    page = listen(settings.port)
    studio = Studio(folder, settings.captioner, len(os.sched_getaffinity(0)))
    server = WebServer(create_upload_app(studio))
    try:
        await studio.codecs()  # a captioner that cannot be used is told at once
        ready(f"http://{HOST}:{page.getsockname()[1]}/")
        async with asyncio.TaskGroup() as group:
            group.create_task(studio.run())
            group.create_task(server.serve(sockets=[page]))
    finally:
        server.should_exit = True
        await studio.close()


def serve_page(settings: PageSettings, ready: Callable[[str], None]) -> None:
    """Serve the page until SIGINT or SIGTERM.

    Args:
        ready: is called with the page's address when it answers.

    Raises:
        SidewireError: the port is taken, or the captioner cannot be used.
    """
    with (
        tempfile.TemporaryDirectory(prefix="sidewire-page-") as folder,
        suppress(KeyboardInterrupt, asyncio.CancelledError),
    ):
        asyncio.run(_serve(settings, Path(folder), ready))
