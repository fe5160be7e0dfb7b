"""The page's HTML: live, or as a report that opens from disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import jinja2

__all__ = ["ASSETS", "STATIC", "render_page"]

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


def render_page(mode: Literal["live", "report"], data: dict[str, Any]) -> str:
    """The page.

    Args:
        data: for its scripts, as JSON. In a report all that it shows.
    """
    # Inside a script element only "<" could end it.
    block = json.dumps(data).replace("<", "\\u003c")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        (STATIC / "page.html").read_text(encoding="utf-8")
    )
    return template.render(mode=mode, data=block, assets=ASSETS)
