"""Where do words help? What a caption is worth over none, from previews of thirty bytes to 0.15 bpp.

One stream, one generator, other words: so each difference is the words' alone. Beside it stands what the
stream's own synthesis paints of the same symbols.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from rich.progress import Progress

from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.evaluation.texts import TextMode
from cluster.figures import write_png
from cluster.reproduce.bands import draw_band
from cluster.reproduce.comparisons import mean_gain, mean_of
from cluster.reproduce.evidence import Request, feeds, sheet_of
from cluster.reproduce.sheet import MEASURES, Condition, Sheet
from cluster.reproduce.tables import Column, Section, TableRow
from shared.codecs.halves import LatentEncoder

__all__ = ["words"]

GENERATOR, STREAM = CodecEntry("ssa", "ssa"), CodecEntry("base", "base")
#: Rows of the ladder that are measured as previews, and as plain levels.
PREVIEW_ROWS, PLAIN_ROWS = (1, 5), (9, 11, 12, 13)
#: What is told, beside nothing, and how it is called in tables and figures.
TOLD = {
    TextMode.MATCHED: "own caption",
    TextMode.GENERIC: "generic caption",
    TextMode.MISMATCHED: "another picture's",
}


def _levels(entry: CodecEntry) -> tuple[int, ...]:
    """Numbers of the measured levels, by rising rate."""
    encoder = open_codec(entry).encoder
    assert isinstance(encoder, LatentEncoder)
    previews = encoder.terms.ladder.previews
    return (*(previews.start + row for row in PREVIEW_ROWS), *PLAIN_ROWS)


def _name(level: int, levels: int) -> str:
    return f"{level}" if level < levels else f"preview {level - levels}"


def _worth(sheet: Sheet, levels: int) -> Section:
    """Gains over the same picture without words, and of the picture without words over the stream's."""
    rows = []
    for level, theirs in zip(_levels(GENERATOR), _levels(STREAM), strict=True):
        none = Condition(GENERATOR.label, level, TextMode.NONE)
        own = Condition(STREAM.label, theirs, TextMode.NONE)
        rate, size = mean_of(sheet.bpp(none)), float(np.mean([r.bytes for r in sheet.rows(none)]))
        pairs = [
            (f"{label} over none", Condition(GENERATOR.label, level, mode), none)
            for mode, label in TOLD.items()
        ]
        pairs.append(("none over the stream's own", none, own))
        pairs.append(("own caption over the stream's own", pairs[0][1], own))
        for label, told, against in pairs:
            gains = (mean_gain(sheet, told, against, measure) for measure in MEASURES)
            rows.append(TableRow(f"{_name(level, levels)}, {label}", (rate, size, *gains)))
    return Section(
        title=f"What words are worth, {sheet.feed} ({len(sheet.ids)} pictures)",
        first="level, picture",
        columns=(
            Column("bpp", 4),
            Column("bytes"),
            *(Column(m.label, m.digits + (m.digits < 4), signed=True) for m in MEASURES),
        ),
        rows=tuple(rows),
        note="Over 0: better, by distances too. Bits of the caption are not among these:"
        f" they are {_caption_bytes(sheet):.0f} bytes on the mean. The judge reads captions that"
        " the decoder was not told.",
    )


def _caption_bytes(sheet: Sheet) -> float:
    told = Condition(GENERATOR.label, PLAIN_ROWS[0], TextMode.MATCHED)
    return float(np.mean([row.caption_bytes for row in sheet.rows(told)]))


def _figure(sheets: Sequence[Sheet]) -> Figure:
    """A row a feed, a panel a measure: gains over none against the rate, with intervals."""
    figure = Figure(figsize=(3.4 * len(MEASURES), 2.7 * len(sheets)), layout="constrained")
    grid = figure.subplots(len(sheets), len(MEASURES), squeeze=False)
    for row, sheet in zip(grid, sheets, strict=True):
        for axes, measure in zip(row, MEASURES, strict=True):
            for mode, label in TOLD.items():
                points = []
                for level in _levels(GENERATOR):
                    none = Condition(GENERATOR.label, level, TextMode.NONE)
                    told = Condition(GENERATOR.label, level, mode)
                    found = mean_gain(sheet, told, none, measure)
                    rate = float(sheet.bpp(none).mean())
                    points.append((rate, found))
                draw_band(axes, points, label)
            axes.axhline(0, color="grey", linewidth=0.8)
            axes.set_xscale("log")
            axes.set_title(f"{sheet.feed}: {measure.label}", fontsize=9)
            axes.tick_params(labelsize=7)
    grid[0, 0].legend(fontsize=7)
    for axes in grid[-1]:
        axes.set_xlabel("bits per pixel", fontsize=8)
    for axes in grid[:, 0]:
        axes.set_ylabel("better than no words", fontsize=8)
    return figure


def words(request: Request, progress: Progress) -> list[Section]:
    """A table a feed, and ``ssa-words.png`` beside them."""
    entries = {GENERATOR: _levels(GENERATOR), STREAM: _levels(STREAM)}
    modes = (TextMode.NONE, *TOLD)
    sheets = [sheet_of(request, feed, entries, modes, progress) for feed in feeds(request).items()]
    write_png(request.out / f"{request.evidence}.png", _figure(sheets))
    levels = len(open_codec(GENERATOR).qualities)
    return [_worth(sheet, levels) for sheet in sheets]
