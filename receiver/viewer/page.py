"""The pages' HTML: the timeline, live or as a report that opens from disk, and the upload page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jinja2

__all__ = ["ASSETS", "STATIC", "render_page", "render_upload_page"]

STATIC = Path(__file__).parent / "static"
#: What the page loads beside its pictures, in order: classic scripts, as browsers load no modules from disk.
ASSETS = (
    "mark.svg",
    "viewer.css",
    "elements.js",
    "wording.js",
    "compare.js",
    "bars.js",
    "sent.js",
    "card.js",
    "feed.js",
    "counters.js",
    "controls.js",
    "connection.js",
    "page.js",
)
#: The same of the upload page.
UPLOAD_ASSETS = (
    "mark.svg",
    "viewer.css",
    "upload.css",
    "elements.js",
    "compare.js",
    "connection.js",
    "upload-wording.js",
    "upload-intake.js",
    "upload-order.js",
    "upload-results.js",
    "upload.js",
)


def render_page(mode: Literal["live", "report"], data: dict[str, Any]) -> str:
    """The timeline.

    Args:
        data: for its scripts, as JSON. In a report all that it shows.
    """
    return _rendered("page.html", data, ASSETS, mode=mode)


def render_upload_page(data: dict[str, Any], *, timeline: bool) -> str:
    """The upload page.

    Args:
        data: for its scripts, as JSON.
        timeline: there is one on the same address.
    """
    return _rendered("upload.html", data, UPLOAD_ASSETS, timeline=timeline)


def _rendered(name: str, data: dict[str, Any], assets: Sequence[str], **values: object) -> str:
    # Inside a script element only "<" could end it.
    block = json.dumps(data).replace("<", "\\u003c")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        (STATIC / name).read_text(encoding="utf-8")
    )
    return template.render(data=block, assets=assets, **values)
