"""The upload page over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
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
from receiver.viewer.page import STATIC, render_upload_page
from receiver.viewer.upload.receiving import StalledError
from receiver.viewer.upload.state import LONGEST_CAPTION, Order
from receiver.viewer.upload.studio import GoneError, NotReadyError, Studio
from receiver.viewer.upload.turns import BusyError
from shared.errors import LimitError, SidewireError
from shared.pictures import LARGEST_SIDE

__all__ = ["create_upload_app", "upload_routes"]

#: Of an order, in bytes: a caption and some numbers.
LONGEST_ORDER = 4 * LONGEST_CAPTION
#: A visitor's picture and results are theirs: no cache between keeps them. Files never change.
FILE_HEADERS = {"Cache-Control": "private, max-age=3600, immutable"}
STATUS: dict[type[SidewireError], int] = {
    BusyError: 503,
    LimitError: 413,
    StalledError: 408,
    GoneError: 404,
    NotReadyError: 409,
}
Endpoint = Callable[[Request], Awaitable[Response]]


def _answering(endpoint: Endpoint) -> Endpoint:
    """The endpoint, whose typed errors are answers."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except SidewireError as error:
            codes = (code for kind, code in STATUS.items() if isinstance(error, kind))
            answered = problem(str(error), next(codes, 422))
            if answered.status_code in (408, 413):
                # What still comes of the body is not read.
                answered.headers["Connection"] = "close"
            return answered
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it

    return answer


def upload_routes(studio: Studio, *, timeline: bool) -> list[Route]:
    """The page and what it asks for, below ``/upload``.

    Args:
        timeline: there is one on the same address, which the page leads to.
    """

    async def page(_: Request) -> Response:
        data = {
            "file_bytes": studio.bounds.file_bytes,
            "side": LARGEST_SIDE,
            "caption_bytes": LONGEST_CAPTION,
            "describes": studio.describes,
        }
        return HTMLResponse(render_upload_page(data, timeline=timeline))

    async def codecs(_: Request) -> Response:
        return JSONResponse([asdict(one) for one in await studio.codecs()])

    async def take(request: Request) -> Response:
        if not is_of_type(request, MEDIA_TYPE):
            return problem(f"content-type must be {MEDIA_TYPE}", 415)
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > studio.bounds.file_bytes:
            raise LimitError("the file's size in bytes", int(length), studio.bounds.file_bytes)
        upload = await studio.take(_chunks(request))
        return JSONResponse(asdict(upload), 201)

    async def told(id: str) -> AsyncIterator[str]:
        seen = -1
        yield RETRY
        while True:
            try:
                entry = studio.entry(id)
            except GoneError as error:
                yield event("gone", {"problem": str(error)})
                return
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await entry.news(seen)
            except TimeoutError:
                pass  # told again, and looked at again: it is kept while a page shows it
            else:
                await asyncio.sleep(GATHER_SECONDS)
            seen = entry.version
            yield event("upload", asdict(entry.upload))

    async def events(request: Request) -> Response:
        stream = told(request.path_params["id"])
        return StreamingResponse(stream, media_type="text/event-stream", headers=EVENT_HEADERS)

    async def order(request: Request) -> Response:
        if not is_of_type(request, "application/json"):
            return problem("content-type must be application/json", 415)
        try:
            wanted = Order.model_validate_json(
                await small_body(request, "the order", LONGEST_ORDER)
            )
        except ValidationError as error:
            return problem(first_problem(error, "order"), 422)
        return JSONResponse(asdict(studio.order(request.path_params["id"], wanted)), 202)

    async def remove(request: Request) -> Response:
        await studio.remove(request.path_params["id"], request.path_params["result"])
        return JSONResponse({})

    async def drop(request: Request) -> Response:
        await studio.drop(request.path_params["id"])
        return JSONResponse({})

    async def file(request: Request) -> Response:
        path = studio.file(request.path_params["id"], request.path_params["file"])
        media_type = "image/png" if path.suffix == ".png" else MEDIA_TYPE
        return FileResponse(path, media_type=media_type, headers=FILE_HEADERS)

    below = "/upload/pictures/{id}"
    found: list[tuple[str, Endpoint, str]] = [
        ("/upload", page, "GET"),
        ("/upload/codecs", codecs, "GET"),
        ("/upload/pictures", take, "POST"),
        (below, drop, "DELETE"),
        (f"{below}/events", events, "GET"),
        (f"{below}/results", order, "POST"),
        (f"{below}/results/{{result}}", remove, "DELETE"),
        (f"{below}/{{file}}", file, "GET"),
    ]
    return [Route(path, _answering(end), methods=[method]) for path, end, method in found]


def create_upload_app(studio: Studio) -> Starlette:
    """The application of the upload page alone."""

    async def start(_: Request) -> Response:
        return RedirectResponse("/upload")

    static = Mount("/static", StaticFiles(directory=STATIC))
    routes = [Route("/", start), static, *upload_routes(studio, timeline=False)]
    return Starlette(routes=routes, middleware=MIDDLEWARE)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk
