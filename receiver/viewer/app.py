"""The viewer over HTTP: a page, its events, its pictures, its controls. For browsers of this machine."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.viewer.desk import Controls
from receiver.viewer.gallery import FOLDERS
from receiver.viewer.page import STATIC, render_page
from receiver.viewer.viewer import Viewer
from receiver.web import listening
from shared.errors import SidewireError

__all__ = ["HOST", "create_app", "listen"]

HOST = "127.0.0.1"
#: Changes that come so close together are told in one go.
GATHER_SECONDS = 0.1
#: After so long without news the state is told again: a proxy, the page and we see that all are still there,
#: and the real rate falls where nothing comes.
SILENCE_SECONDS = 5.0
#: A browser that has lost us tries again after so long.
RETRY_MS = 1000
#: Of a stream as a file.
MEDIA_TYPE = "application/octet-stream"
Endpoint = Callable[[Request], Awaitable[Response]]
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class WithHeaders:
    """Middleware: every answer carries :data:`HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(key.lower().encode(), value.encode()) for key, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _event(name: str, value: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n"


def create_app(viewer: Viewer) -> Starlette:
    """The application of one viewer."""

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(render_page("live", {"keep": viewer.timeline.keep}))

    async def told() -> AsyncIterator[str]:
        seen, timeline = -1, viewer.timeline
        yield f"retry: {RETRY_MS}\n\n"
        while not timeline.closed:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await timeline.news(seen)
            except TimeoutError:
                yield _event("state", viewer.state())
                continue
            await asyncio.sleep(GATHER_SECONDS)
            # Before the posts are looked at: what changes meanwhile is told with the next news.
            before, seen = seen, timeline.version
            # The state first: it says whether these are the posts of another run.
            yield _event("state", viewer.state())
            yield _event("posts", [asdict(post) for post in timeline.since(before)])

    async def events(_: Request) -> StreamingResponse:
        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(told(), media_type="text/event-stream", headers=headers)

    async def controls(request: Request) -> Response:
        # Only a page of this origin can send JSON: others' forms cannot, and their scripts may not.
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return _problem("content-type must be application/json", 415)
        try:
            viewer.desk.controls = Controls.model_validate_json(await request.body())
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "controls"
            return _problem(f"{place} is {first['input']!r}: {first['msg']}", 422)
        return JSONResponse(viewer.desk.controls.model_dump())

    async def overlays(request: Request) -> Response:
        try:
            found = await viewer.overlays(request.path_params["id"])
        except SidewireError as error:
            return _problem(str(error), 500)
        return JSONResponse(asdict(found)) if found else _problem("no overlays of this post", 404)

    def picture(draw: Callable[[str], Awaitable[str]]) -> Endpoint:
        async def drawn(request: Request) -> Response:
            try:
                found = await draw(request.path_params["id"])
            except SidewireError as error:
                return _problem(str(error), 500)
            return JSONResponse({"picture": found}) if found else _problem("not to be had", 404)

        return drawn

    async def comparison(request: Request) -> Response:
        if viewer.comparer.ask(request.path_params["id"]):
            return JSONResponse({}, 202)  # what is found comes as news of the post
        return _problem("no comparison of this post", 404)

    async def stream(request: Request) -> Response:
        found = viewer.timeline.stream(f"streams/{request.path_params['name']}")
        if found is None:
            return _problem("no such stream", 404)
        return Response(found, media_type=MEDIA_TYPE)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/events", events),
            Route("/controls", controls, methods=["POST"]),
            Route("/posts/{id}/overlays", overlays, methods=["POST"]),
            Route("/posts/{id}/unguarded", picture(viewer.unguarded), methods=["POST"]),
            Route("/posts/{id}/preview_told", picture(viewer.preview_told), methods=["POST"]),
            Route("/posts/{id}/comparison", comparison, methods=["POST"]),
            Route("/streams/{name}", stream),
            Mount("/static", StaticFiles(directory=STATIC)),
            *(
                Mount(f"/{name}", StaticFiles(directory=_made(viewer.gallery / name)))
                for name in FOLDERS
            ),
        ],
        middleware=[
            Middleware(WithHeaders),
            # A foreign name that points to this machine is not answered.
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
        ],
    )


def _problem(text: str, status: int) -> JSONResponse:
    return JSONResponse({"problem": text}, status)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def listen(port: int) -> socket.socket:
    """A listening socket of this machine alone.

    Args:
        port: 0 for any free one.

    Raises:
        SidewireError: it is taken.
    """
    return listening(HOST, port, "choose another --port")
