"""The viewer over HTTP: a page, its events, its pictures, its controls. For browsers of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from receiver.viewer.answers import (
    EVENT_HEADERS,
    GATHER_SECONDS,
    MEDIA_TYPE,
    MIDDLEWARE,
    RETRY,
    SILENCE_SECONDS,
    event,
    first_problem,
    is_of_type,
    problem,
    small_body,
)
from receiver.viewer.desk import Controls
from receiver.viewer.gallery import FOLDERS
from receiver.viewer.page import STATIC, render_page
from receiver.viewer.upload.routes import upload_routes
from receiver.viewer.upload.studio import Studio
from receiver.viewer.viewer import Viewer
from shared.errors import LimitError, SidewireError

__all__ = ["create_app"]

#: Bytes of all controls together, as the page sends them, and some.
LONGEST_CONTROLS = 1 << 12

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(viewer: Viewer, studio: Studio) -> Starlette:
    """The application of one viewer, with the upload page beside its timeline."""

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(render_page("live", {"keep": viewer.timeline.keep}))

    async def told() -> AsyncIterator[str]:
        seen, timeline = -1, viewer.timeline
        yield RETRY
        while not timeline.closed:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await timeline.news(seen)
            except TimeoutError:
                yield event("state", viewer.state())
                continue
            await asyncio.sleep(GATHER_SECONDS)
            # Before the posts are looked at: what changes meanwhile is told with the next news.
            before, seen = seen, timeline.version
            # The state first: it says whether these are the posts of another run.
            yield event("state", viewer.state())
            yield event("posts", [asdict(post) for post in timeline.since(before)])

    async def events(_: Request) -> StreamingResponse:
        return StreamingResponse(told(), media_type="text/event-stream", headers=EVENT_HEADERS)

    async def controls(request: Request) -> Response:
        if not is_of_type(request, "application/json"):
            return problem("content-type must be application/json", 415)
        try:
            body = await small_body(request, "the controls", LONGEST_CONTROLS)
            viewer.desk.controls = Controls.model_validate_json(body)
        except LimitError as error:
            # What still comes of the body is not read.
            return problem(str(error), 413, {"Connection": "close"})
        except ValidationError as error:
            return problem(first_problem(error, "controls"), 422)
        return JSONResponse(viewer.desk.controls.model_dump())

    async def overlays(request: Request) -> Response:
        try:
            found = await viewer.overlays(request.path_params["id"])
        except SidewireError as error:
            return problem(str(error), 500)
        return JSONResponse(asdict(found)) if found else problem("no overlays of this post", 404)

    def picture(draw: Callable[[str], Awaitable[str]]) -> Endpoint:
        async def drawn(request: Request) -> Response:
            try:
                found = await draw(request.path_params["id"])
            except SidewireError as error:
                return problem(str(error), 500)
            return JSONResponse({"picture": found}) if found else problem("not to be had", 404)

        return drawn

    async def comparison(request: Request) -> Response:
        if viewer.comparer.ask(request.path_params["id"]):
            return JSONResponse({}, 202)  # what is found comes as news of the post
        return problem("no comparison of this post", 404)

    async def stream(request: Request) -> Response:
        found = viewer.timeline.stream(f"streams/{request.path_params['name']}")
        if found is None:
            return problem("no such stream", 404)
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
            *upload_routes(studio, timeline=True),
            *(
                Mount(f"/{name}", StaticFiles(directory=_made(viewer.gallery / name)))
                for name in FOLDERS
            ),
        ],
        middleware=MIDDLEWARE,
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
