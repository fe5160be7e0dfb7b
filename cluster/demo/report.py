"""What a run came to: ``report.json`` for programs, ``index.html`` for people, pictures beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from receiver.viewer.page import ASSETS, STATIC, render_page
from receiver.viewer.viewer import Viewer
from shared.pictures import write_atomically

__all__ = ["Latency", "Summary", "summarise", "write_report"]


@dataclass(frozen=True)
class Latency:
    """The time from a picture's hand-over to its sender until its first picture is in the ledger, in ms."""

    p50: float | None
    p99: float | None


@dataclass(frozen=True)
class Summary:
    """The report's figures.

    Attributes:
        frames_sent: pictures given to the sender.
        frames_decoded: distinct pictures that the ledger has as decoded.
        captions_sent: one a picture at most.
        captions_joined: distinct pictures that were decoded with their caption.
        lost: pictures without an end.
        duplicated: deliveries beyond one for each (frame, revision).
        dispositions: ends by name, of pictures and captions.
        bpp_mean, caption_bpp_mean: bits a pixel of whole containers; of captions' UTF-8, where one was used.
        psnr_mean, ms_ssim_mean: of the final pictures, refined where a caption came, against the originals.
    """

    frames_sent: int
    frames_decoded: int
    captions_sent: int
    captions_joined: int
    lost: int
    duplicated: int
    dispositions: dict[str, int]
    bpp_mean: float | None
    caption_bpp_mean: float | None
    psnr_mean: float | None
    ms_ssim_mean: float | None
    latency_ms: Latency

    def to_json(self) -> dict[str, Any]:
        """The summary as ``report.json`` has it."""
        return asdict(self)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def summarise(viewer: Viewer) -> Summary:
    """The figures of a replay that is over."""
    decoded = [post for post in viewer.timeline.posts if post.final]
    finals = [post.final for post in decoded if post.final]
    waits = [post.first.after_ms for post in decoded if post.first]
    known = [wait for wait in waits if wait is not None]
    p50, p99 = (float(np.percentile(known, share)) if known else None for share in (50, 99))
    return Summary(
        frames_sent=viewer.desk.sending.frames,
        frames_decoded=viewer.facts.decoded,
        captions_sent=viewer.desk.sending.captions,
        captions_joined=viewer.facts.joined,
        lost=viewer.lost,
        duplicated=viewer.facts.duplicated,
        dispositions=viewer.facts.dispositions,
        bpp_mean=_mean(8 * post.picture_bytes / post.pixels for post in decoded),
        caption_bpp_mean=_mean(
            8 * post.caption_bytes / post.pixels for post in decoded if post.refined
        ),
        psnr_mean=_mean(final.psnr for final in finals),
        ms_ssim_mean=_mean(final.ms_ssim for final in finals),
        latency_ms=Latency(p50, p99),
    )


def write_report(folder: Path, viewer: Viewer, summary: Summary) -> None:
    """Write ``report.json``, the page with what it loads, and each picture's and preview's stream.

    Raises:
        SidewireError: the folder cannot be written.
    """
    (folder / "streams").mkdir(exist_ok=True)
    for post in viewer.timeline.posts:
        for file, container in viewer.timeline.streams(post.id).items():
            write_atomically(folder / file, container)
    static = folder / "static"
    static.mkdir(exist_ok=True)
    for name in ASSETS:
        shutil.copyfile(STATIC / name, static / name)
    posts = [asdict(post) for post in viewer.timeline.posts]
    page = render_page("report", {"posts": posts, "state": viewer.state()})
    write_atomically(folder / "index.html", page.encode())
    write_atomically(
        folder / "report.json", (json.dumps(summary.to_json(), indent=2) + "\n").encode()
    )
