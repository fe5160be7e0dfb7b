"""``/metrics``, ``/healthz`` and ``/readyz`` over HTTP, for Prometheus and whoever starts receivers again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from receiver.gateway import Gateway
from receiver.metrics import ReceiverMetrics
from receiver.web import WebServer, listening

__all__ = ["monitored"]


def create_app(metrics: ReceiverMetrics, gateway: Gateway) -> Starlette:
    """The application; it runs in the gateway's loop, so that its answer shows that this turns."""

    async def show(_: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(_: Request) -> Response:
        if gateway.serving:
            return PlainTextResponse("serving\n")
        return PlainTextResponse(f"not serving: {gateway.why_not}\n", 503)

    return Starlette(
        routes=[Route("/metrics", show), Route("/healthz", healthz), Route("/readyz", readyz)]
    )


@asynccontextmanager
async def monitored(address: str, metrics: ReceiverMetrics, gateway: Gateway) -> AsyncIterator[str]:
    """Serve the three pages at an address.

    Yields:
        host:port, with the port that was given.

    Raises:
        SidewireError: the address cannot be had.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    with listening(host, int(port), "choose another --metrics") as sock:
        metrics.look_at(gateway)
        server = WebServer(create_app(metrics, gateway))
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            yield f"{address.rpartition(':')[0]}:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
