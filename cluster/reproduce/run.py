"""``sidewire reproduce``: measure the evidence feeds, make the tables or the figure, write them."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from cluster.console import progress_bars
from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.evaluation.measure import measured, tasks_of, texts_of
from cluster.evaluation.report import write_results
from cluster.evaluation.rows import Failure, ResultRow
from cluster.evaluation.texts import TextMode
from cluster.records import plain
from cluster.reproduce.ablation import equal_bits, extra_rates, total_bits
from cluster.reproduce.masks import look_at, write_figure
from cluster.reproduce.sheet import Sheet
from cluster.reproduce.stability import captions_in_turn, guarded, spread_and_gap
from cluster.reproduce.tables import Section, markdown
from cluster.reproduce.variants import FULL, NO_TEXT, VARIANTS, entry_of, train_variant
from shared.bundle import MANIFEST_NAME
from shared.codecs.interface import InsightCodec
from shared.errors import SidewireError
from shared.feed import FeedError, read_feed
from shared.metrics.matching import check_matchers
from shared.pictures import picture_from_bytes, write_atomically

__all__ = ["Evidence", "ReproduceRequest", "reproduce_command"]

#: Names in tables, and where their feeds lie below the data folder.
FEEDS = {
    "Kodak": Path("test/kodak.parquet"),
    "COCO": Path("test/coco-val.parquet"),
    "Flickr8k": Path("val/flickr8k-224.parquet"),
}
#: Sends colour in the same stream: what words must be worth more than.
COLOUR = CodecEntry("base", "base")
#: Of the Wyner-Ziv comparison: bundles of one architecture, by where the text is, and the other recipe's,
#: whose encoder never knew that there would be words.
AT_DECODER = "decoder"
PLACES = (AT_DECODER, "nowhere", "both", "frozen")


class Evidence(enum.StrEnum):
    """What can be reproduced."""

    TABLE1 = "ssa-table1"
    TABLE2 = "ssa-table2"
    MASKS = "ssa-masks"
    RECIPES = "ssa-recipes"


@dataclass(frozen=True)
class ReproduceRequest:
    """What to make and of what.

    Attributes:
        data: folder of the evidence feeds; those that are not there are left out.
        out: folder for Markdown, JSON, rows and figures.
        variants: folder of ablation bundles, one sub-folder each.
        joint: folder of bundles ``decoder``, ``nowhere`` and ``both`` of the joint recipe and ``frozen`` of
            the other, as far as there.
        train: train variants that are missing there.
        quality: level of table 2 and of the figures.
        limit: of pictures a feed.
    """

    evidence: Evidence
    data: Path
    out: Path
    variants: Path
    joint: Path
    train: bool = False
    quality: int = 1
    ssimulacra2_every: int = 1
    limit: int | None = None
    jobs: int = 1


def _feeds(data: Path) -> dict[str, Path]:
    found = {name: data / path for name, path in FEEDS.items() if (data / path).exists()}
    if not found:
        raise FeedError(f"{data}: none of {', '.join(map(str, FEEDS.values()))} is there")
    return found


def _sheet(
    request: ReproduceRequest,
    feed: tuple[str, Path],
    entries: Mapping[CodecEntry, tuple[int, ...]],
    modes: Sequence[TextMode],
    progress: Progress,
) -> Sheet:
    """Measure one feed; its rows are kept beside the tables."""
    name, path = feed
    texts = texts_of(path, modes, request.limit)
    tasks = tasks_of(path, entries, texts, request.ssimulacra2_every, matching=True, timed=False)
    rows: list[ResultRow] = []
    bar = progress.add_task(name, total=len(texts) * len(entries))
    for outcomes in measured(tasks, request.jobs):
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                progress.console.print(f"warning: {outcome}", style="yellow", markup=False)
            else:
                rows.append(outcome)
        progress.advance(bar)
    write_results(request.out / f"{request.evidence}-{name.lower()}.parquet", rows)
    return Sheet(name, rows)


def _levels(entries: Sequence[CodecEntry]) -> dict[CodecEntry, tuple[int, ...]]:
    return {entry: open_codec(entry).qualities for entry in entries}


def _table1(request: ReproduceRequest, progress: Progress) -> list[Section]:
    if request.train:
        for variant in VARIANTS:
            if entry_of(variant, request.variants) is None:
                train_variant(variant, request.data, request.variants)
    found = [entry_of(variant, request.variants) for variant in (FULL, *VARIANTS)]
    entries = [entry for entry in found if entry is not None]
    labels = [entry.label for entry in entries if entry.label != FULL.name]
    sections = []
    modes = (TextMode.MATCHED, TextMode.NONE)
    for feed in _feeds(request.data).items():
        sheet = _sheet(request, feed, _levels([*entries, COLOUR]), modes, progress)
        sections += [
            extra_rates(sheet, FULL.name, labels),
            equal_bits(sheet, FULL.name, labels),
            *(total_bits(sheet, FULL.name, rival) for rival in (NO_TEXT.name, COLOUR.label)),
        ]
    return sections


def _recipes(request: ReproduceRequest, progress: Progress) -> list[Section]:
    places = [place for place in PLACES if (request.joint / place / MANIFEST_NAME).exists()]
    if AT_DECODER not in places:
        raise SidewireError(f"{request.joint / AT_DECODER}: no bundle of the joint recipe is there")
    entries = [CodecEntry(place, "ssa", bundle=request.joint / place) for place in places]
    others = [place for place in places if place != AT_DECODER]
    sections = []
    for feed in _feeds(request.data).items():
        levels = _levels([*entries, COLOUR])
        sheet = _sheet(request, feed, levels, (TextMode.MATCHED, TextMode.NONE), progress)
        sections += [
            extra_rates(sheet, AT_DECODER, [*others, COLOUR.label]),
            equal_bits(sheet, AT_DECODER, ()),
        ]
    return sections


def _table2(request: ReproduceRequest, progress: Progress) -> list[Section]:
    off = CodecEntry("guard off", "ssa", guard=False)
    on = CodecEntry("guard on", "ssa")
    open_codec(on).check_quality(request.quality)
    levels = (request.quality,)
    sections = []
    for feed in _feeds(request.data).items():
        sheet = _sheet(request, feed, {off: levels, on: levels}, tuple(TextMode), progress)
        for label in (off.label, on.label):
            sections.append(captions_in_turn(sheet, label, request.quality))
            sections.append(spread_and_gap(sheet, label, request.quality))
        sections.append(guarded(sheet, off.label, on.label, request.quality))
    return sections


TABLES = {Evidence.TABLE1: _table1, Evidence.TABLE2: _table2, Evidence.RECIPES: _recipes}


def _masks(request: ReproduceRequest, progress: Progress) -> list[Path]:
    """A figure a picture: its first captions, and one of another picture."""
    codec = open_codec(CodecEntry("ssa", "ssa", guard=False))
    assert isinstance(codec, InsightCodec)
    codec.check_quality(request.quality)
    written = []
    for name, path in _feeds(request.data).items():
        count = request.limit or 3
        rows = list(islice(read_feed(path), count + 1))
        bar = progress.add_task(f"{name} masks", total=len(rows) - 1)
        for row, stranger in pairwise(rows):
            picture = picture_from_bytes(row.image)
            told = (row.captions[:2], stranger.captions[:1])
            sheet = look_at(codec, f"{name} {row.id}", picture, request.quality, *told)
            target = request.out / f"masks-{name.lower()}-{Path(row.id).stem}.png"
            write_figure(target, sheet)
            written.append(target)
            progress.advance(bar)
    return written


def _write(request: ReproduceRequest, sections: Sequence[Section]) -> str:
    text = markdown(sections)
    table = [plain(asdict(section)) for section in sections]
    stem = request.out / request.evidence.value
    write_atomically(stem.with_suffix(".json"), (json.dumps(table, indent=2) + "\n").encode())
    write_atomically(stem.with_suffix(".md"), text.encode())
    return text


def reproduce_command(request: ReproduceRequest) -> None:
    """What ``sidewire reproduce`` does; prints the tables, or the figures' paths.

    Raises:
        SidewireError: weights, feeds or the output folder cannot be used, or nothing could be measured.
    """
    check_matchers()
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SidewireError(f"cannot write {request.out}: {error.strerror}") from None
    with progress_bars() as progress:
        if request.evidence is Evidence.MASKS:
            shown = "\n".join(map(str, _masks(request, progress)))
        else:
            shown = _write(request, TABLES[request.evidence](request, progress))
    Console(soft_wrap=True).print(shown, markup=False, highlight=False)
