"""HTTP inside a program whose loop and signals belong to something else."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from shared.errors import SidewireError

__all__ = ["WebServer", "listening"]


def listening(host: str, port: int, advice: str) -> socket.socket:
    """A listening socket.

    Args:
        port: 0 for any free one.
        advice: what to do where it cannot be had.

    Raises:
        SidewireError: it is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        # Python's own text names the address once more; a name that is not found has a text alone.
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise SidewireError(f"cannot listen on {host}:{port}: {why}; {advice}") from None


class WebServer(uvicorn.Server):
    """Serves an application in a loop whose signals belong to somebody else."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_level="warning",
                # Its own handlers would write beside the program's.
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
