"""What all answers of the viewer have in common: who may ask, headers, problems as JSON, events."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.web import listening
from shared.errors import LimitError

__all__ = [
    "EVENT_HEADERS",
    "GATHER_SECONDS",
    "HOST",
    "MEDIA_TYPE",
    "MIDDLEWARE",
    "RETRY",
    "SILENCE_SECONDS",
    "event",
    "first_problem",
    "is_of_type",
    "listen",
    "problem",
    "small_body",
]

HOST = "127.0.0.1"
#: Of a stream as a file, and of a picture that comes.
MEDIA_TYPE = "application/octet-stream"
#: Changes that come so close together are told in one go.
GATHER_SECONDS = 0.1
#: After so long without news the state is told again: a proxy, the page and we see that all are still there,
#: and the real rate falls where nothing comes.
SILENCE_SECONDS = 5.0
#: The first of all events: a browser that has lost us tries again after so many milliseconds.
RETRY = "retry: 1000\n\n"
EVENT_HEADERS = {"Cache-Control": "no-store"}
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


MIDDLEWARE = (
    Middleware(WithHeaders),
    # A foreign name that points to this machine is not answered.
    Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
)


def event(name: str, value: Any) -> str:
    """A server-sent event."""
    return f"event: {name}\ndata: {json.dumps(value)}\n\n"


def problem(text: str, status: int, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer that says what is wrong."""
    return JSONResponse({"problem": text}, status, headers)


def first_problem(error: ValidationError, whole: str) -> str:
    """The first thing that is wrong with values that came, in one line.

    Args:
        whole: what to call all of them together.
    """
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or whole
    return f"{place} is {first['input']!r:.100}: {first['msg']}"


def is_of_type(request: Request, media_type: str) -> bool:
    """Whether a request is of a type that only a page of this origin can send.

    Others' forms cannot send it, and their scripts may not.
    """
    return request.headers.get("content-type", "").partition(";")[0] == media_type


async def small_body(request: Request, what: str, most: int) -> bytes:
    """A request's body, of which no more is read than is allowed.

    Args:
        what: to call it in a message, such as "the order".
        most: bytes.

    Raises:
        LimitError: it is longer.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise LimitError(f"the size of {what} in bytes", len(body), most)
    return bytes(body)


def listen(port: int) -> socket.socket:
    """A listening socket of this machine alone.

    Args:
        port: 0 for any free one.

    Raises:
        SidewireError: it is taken.
    """
    return listening(HOST, port, "choose another --port")
