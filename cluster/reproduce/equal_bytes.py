"""``ssa`` beside its stream's own pictures and formats of the day at the same bytes: tables, and crops.

A format gets as many bytes as the stream takes and makes the best of them by MS-SSIM, shrunk first where
that is better (:mod:`shared.codecs.baselines.matching`). Captions are counted apart: they travel anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice

import numpy as np
from matplotlib.figure import Figure
from rich.progress import Progress

from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.evaluation.examiner import Examiner, Measures
from cluster.evaluation.report import write_results
from cluster.evaluation.rows import ResultRow
from cluster.evaluation.texts import TextMode
from cluster.figures import liveliest, write_png
from cluster.reproduce.comparisons import mean_gain, mean_of
from cluster.reproduce.evidence import Request, feeds
from cluster.reproduce.sheet import MEASURES, Condition, Sheet
from cluster.reproduce.tables import Column, Section, TableRow
from shared.codecs.baselines.matching import Trials, best_within
from shared.feed import FeedRow, read_feed
from shared.metrics import ms_ssim, psnr
from shared.pictures import Picture, picture_from_bytes

__all__ = ["equal_bytes"]

GENERATOR, STREAM = CodecEntry("ssa", "ssa"), CodecEntry("base", "base")
RIVALS = {"AVIF": "baseline/avif", "WebP": "baseline/webp"}
LEVELS = (11, 13)
#: Pictures of the first feed whose crops are shown, at the first level; and the crops' side in pixels.
SHOWN, CROP = 6, 224
WITHOUT, WITH = "ssa without words", "ssa with its caption"


@dataclass(frozen=True)
class Shown:
    """A picture as each makes it of the same bytes; None for one that can make nothing of so few."""

    row: FeedRow
    original: Picture
    bytes: int
    painted: dict[str, Picture | None]


def _painted(row: FeedRow, level: int, known: Mapping[str, Trials]) -> Shown:
    original = picture_from_bytes(row.image)
    codec, stream = open_codec(GENERATOR), open_codec(STREAM)
    blob = codec.encode(original, level).blob
    own: dict[str, Picture | None] = {
        "base": stream.decode(stream.encode(original, level).blob).picture,
        WITHOUT: codec.decode(blob).picture,
        WITH: codec.decode(blob, row.captions[0]).picture,
    }
    like = partial(_likeness, original)
    found = {
        label: best_within(name, original, len(blob), like, known[label])
        for label, name in RIVALS.items()
    }
    theirs = {label: None if one is None else one.picture for label, one in found.items()}
    return Shown(row, original, len(blob), own | theirs)


def _likeness(original: Picture, other: Picture) -> float:
    found = ms_ssim(original, other)
    return psnr(original, other) if found is None else found


def _rows(shown: Shown, level: int, *, ssimulacra2: bool) -> Iterator[ResultRow]:
    examiner = Examiner(shown.original, Measures(ssimulacra2=ssimulacra2, matching=True))
    height, width = shown.original.shape[:2]
    for label, picture in shown.painted.items():
        if picture is None:
            continue
        scores = examiner.scores(picture, shown.row.captions)
        others = scores.judge[1:]
        yield ResultRow(
            id=shown.row.id,
            codec=label,
            quality=level,
            text=TextMode.NONE,
            width=width,
            height=height,
            bytes=shown.bytes,
            bpp=8 * shown.bytes / (width * height),
            caption_bytes=0,
            caption_bpp=0.0,
            judge=float(np.mean(others)) if others else None,
            judge_scores=scores.judge,
            trust=None,
            encode_ms=None,
            decode_ms=None,
            **{name: value for name, value in asdict(scores).items() if name != "judge"},
        )


def _table(sheet: Sheet, level: int) -> Section:
    """Means of each, and how much better the told generator is."""
    rows = []
    own = Condition(WITH, level, TextMode.NONE)
    for condition in sheet.conditions:
        values = (mean_of(sheet.column(condition, measure)) for measure in MEASURES)
        rows.append(TableRow(condition.codec, (mean_of(sheet.bpp(condition)), *values)))
    table = [Column(m.label, m.digits) for m in MEASURES]
    for condition in sheet.conditions:
        if condition != own:
            gains = (mean_gain(sheet, own, condition, measure) for measure in MEASURES)
            rows.append(TableRow(f"{WITH} over {condition.codec}", (None, *gains)))
    return Section(
        title=f"At the same bytes, level {level}, {sheet.feed} ({len(sheet.ids)} pictures)",
        first="picture by",
        columns=(Column("bpp", 4), *table),
        rows=tuple(rows),
        note="Over 0 in a line that says over: better, by distances too.",
    )


def _figure(pictures: list[Shown]) -> Figure:
    """A row a picture, a column each maker: the liveliest square of the original."""
    labels = ["original", *pictures[0].painted]
    figure = Figure(figsize=(2.2 * len(labels), 2.35 * len(pictures)), layout="constrained")
    grid = figure.subplots(len(pictures), len(labels), squeeze=False)
    for line, shown in zip(grid, pictures, strict=True):
        top, left = liveliest(shown.original, CROP)
        window = slice(top, top + CROP), slice(left, left + CROP)
        made = {"original": shown.original} | shown.painted
        for axes, (label, picture) in zip(line, made.items(), strict=True):
            axes.set_axis_off()
            if picture is not None:
                axes.imshow(picture[window])
            size = f", {shown.bytes} bytes" if label == "base" else ""
            axes.set_title(f"{label}{size}", fontsize=7)
    return figure


def equal_bytes(request: Request, progress: Progress) -> list[Section]:
    """A table a feed and level, and ``ssa-bytes.png`` with crops of the first feed's first pictures."""
    sections: list[Section] = []
    crops: list[Shown] = []
    for name, path in feeds(request).items():
        found: dict[int, list[ResultRow]] = {level: [] for level in LEVELS}
        rows = list(islice(read_feed(path), request.limit))
        for number, row in enumerate(progress.track(rows, description=name)):
            every = request.ssimulacra2_every
            scored = every > 0 and number % every == 0
            known: dict[str, Trials] = {label: {} for label in RIVALS}
            for level in LEVELS:
                shown = _painted(row, level, known)
                found[level] += _rows(shown, level, ssimulacra2=scored)
                if level == LEVELS[0] and len(crops) < SHOWN:
                    crops.append(shown)
        every_row = [one for own in found.values() for one in own]
        write_results(request.out / f"{request.evidence}-{name.lower()}.parquet", every_row)
        sections += [_table(Sheet(name, own), level) for level, own in found.items()]
    write_png(request.out / f"{request.evidence}.png", _figure(crops))
    return sections
