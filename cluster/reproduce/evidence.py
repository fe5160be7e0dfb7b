"""What evidence is: a name, and a function that measures feeds and gives tables, or writes figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.progress import Progress

from cluster.evaluation.collect import collect
from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.evaluation.measure import tasks_of, texts_of
from cluster.evaluation.report import write_results
from cluster.evaluation.rows import ResultRow
from cluster.evaluation.texts import TextMode
from cluster.reproduce.sheet import Sheet
from cluster.reproduce.tables import Section
from shared.feed import FeedError

__all__ = ["Evidence", "Request", "feeds", "levels", "rows_of", "sheet_of"]

#: Names in tables, and where their feeds lie below the data folder.
FEEDS = {
    "Kodak": Path("test/kodak.parquet"),
    "COCO": Path("test/coco-val.parquet"),
    "Flickr8k": Path("val/flickr8k-224.parquet"),
}


@dataclass(frozen=True)
class Request:
    """What to make and of what.

    Attributes:
        evidence: its name.
        data: folder of the evidence feeds; those that are not there are left out.
        out: folder for Markdown, JSON, rows and figures.
        variants: folder of ablation bundles, one sub-folder each.
        joint: folder of bundles ``decoder``, ``nowhere`` and ``both`` of the joint recipe and ``frozen`` of
            the other, as far as there.
        train: train variants that are missing there.
        quality: level of tables and figures that are of one level.
        levels: of the tables of told encoders, as far as a codec has them.
        limit: of pictures a feed.
    """

    evidence: str
    data: Path
    out: Path
    variants: Path
    joint: Path
    train: bool = False
    quality: int = 11
    levels: tuple[int, ...] | Literal["all"] = "all"
    ssimulacra2_every: int = 1
    limit: int | None = None
    jobs: int = 1


#: Makes tables, or writes figures and gives their paths.
Evidence = Callable[[Request, Progress], list[Section] | list[Path]]


def feeds(request: Request, *names: str) -> dict[str, Path]:
    """The evidence feeds that are there, by their names in tables.

    Args:
        names: those that are wanted; all by default.

    Raises:
        FeedError: none of them is.
    """
    wanted = {name: request.data / FEEDS[name] for name in names or FEEDS}
    found = {name: path for name, path in wanted.items() if path.exists()}
    if not found:
        places = ", ".join(str(FEEDS[name]) for name in wanted)
        raise FeedError(f"{request.data}: none of {places} is there")
    return found


def levels(entries: Sequence[CodecEntry]) -> dict[CodecEntry, tuple[int, ...]]:
    """All levels of some codecs."""
    return {entry: open_codec(entry).qualities for entry in entries}


def rows_of(
    request: Request,
    feed: tuple[str, Path],
    entries: Mapping[CodecEntry, tuple[int, ...]],
    modes: Sequence[TextMode],
    progress: Progress,
) -> list[ResultRow]:
    """Measure one feed; its rows are kept beside the tables."""
    name, path = feed
    texts = texts_of(path, modes, request.limit)
    tasks = tasks_of(path, entries, texts, request.ssimulacra2_every, matching=True, timed=False)
    bar = progress.add_task(name, total=len(texts) * len(entries))
    rows, _ = collect(tasks, request.jobs, len(entries), progress, bar)
    write_results(request.out / f"{request.evidence}-{name.lower()}.parquet", rows)
    return rows


def sheet_of(
    request: Request,
    feed: tuple[str, Path],
    entries: Mapping[CodecEntry, tuple[int, ...]],
    modes: Sequence[TextMode],
    progress: Progress,
) -> Sheet:
    """Measure one feed, see :func:`rows_of`; its rows as columns over pictures."""
    return Sheet(feed[0], rows_of(request, feed, entries, modes, progress))
