"""What ``sidewire demo`` is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from receiver.viewer.desk import Controls

__all__ = ["DemoOptions"]


@dataclass(frozen=True)
class DemoOptions:
    """One run.

    Attributes:
        feed: None for the pictures that ship.
        codec: None for the one that reads captions.
        quality: None for the codec's own default.
        decoder: where pictures are decoded: on Ray, or in plain processes.
        limit: only the first pictures of the feed.
        headless: the feed once, no page, and an end.
        report: folder of the report; only with ``headless``.
        port: of the page; 0 for any free one.
        seed: of what captions meet.
    """

    feed: Path | None = None
    codec: str | None = None
    quality: int | None = None
    decoder: Literal["ray", "processes"] = "ray"
    limit: int | None = None
    headless: bool = False
    report: Path | None = None
    port: int = 0
    seed: int = 0
    controls: Controls = field(default_factory=Controls)
