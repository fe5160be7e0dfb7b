"""Gains of pairs at equal bits, and the bits that they save, with paired intervals over pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cluster.compare.equal_bits import LevelPoint, value_at_bytes
from cluster.compare.records import Counted, Gain, Pair, SavedBits
from cluster.evaluation.bootstrap import Interval
from cluster.evaluation.rows import ResultRow
from cluster.reproduce.comparisons import extra_rate, mean_of
from cluster.reproduce.sheet import MEASURES, Condition, Measure, Sheet, SheetError

__all__ = ["compared"]

Values = NDArray[np.float64]


class _Asked(NamedTuple):
    """One pair by one measure: the levels of its codec and of its anchor, and whose bits are equal."""

    sheet: Sheet
    pair: Pair
    own: Sequence[Condition]
    anchor: Sequence[Condition]
    counted: Counted
    measure: Measure

    @property
    def with_caption(self) -> bool:
        """The caption's bits count."""
        return self.counted is Counted.TOTAL


def compared(
    pairs: Sequence[Pair], rows: Sequence[ResultRow]
) -> tuple[tuple[Gain, ...], tuple[SavedBits, ...]]:
    """Every pair by every measure, level by level and over all levels.

    A pair is of the pictures that both of its codecs could do at all their levels; without any there are
    no figures of it. Where the receiver needs the caption, equal bits are counted both without and with it.
    """
    gains: list[Gain] = []
    saved: list[SavedBits] = []
    for pair in pairs:
        sides = {(pair.codec, pair.text), (pair.anchor, pair.anchor_text)}
        try:
            sheet = Sheet("", [row for row in rows if (row.codec, row.text) in sides])
        except SheetError:
            continue
        own = _ladder(sheet, pair.codec, pair.text)
        anchor = _ladder(sheet, pair.anchor, pair.anchor_text)
        if not own or not anchor:
            continue
        travels = any(row.caption_bytes for c in (*own, *anchor) for row in sheet.rows(c))
        for counted in Counted if travels else (Counted.PICTURE,):
            for measure in MEASURES:
                asked = _Asked(sheet, pair, own, anchor, counted, measure)
                gains += _gains(asked)
                saved.append(_saved(asked))
    return tuple(gains), tuple(saved)


def _ladder(sheet: Sheet, codec: str, text: str) -> list[Condition]:
    """A codec's levels, told so."""
    found = [c for c in sheet.conditions if (c.codec, c.text) == (codec, text)]
    return sorted(found, key=lambda condition: condition.quality)


def _points(asked: _Asked, condition: Condition) -> list[LevelPoint]:
    """A level of every picture."""
    rows = asked.sheet.rows(condition)
    sizes = (row.bytes + row.caption_bytes * asked.with_caption for row in rows)
    values = asked.sheet.column(condition, asked.measure).tolist()
    pairs = zip(sizes, values, strict=True)
    return [LevelPoint(condition.quality, size, value) for size, value in pairs]


def _gains(asked: _Asked) -> Iterator[Gain]:
    """A figure a level, and one over all levels."""
    measure = asked.measure
    ladders = list(zip(*(_points(asked, c) for c in asked.anchor), strict=True))
    columns = []
    rates = []
    for condition in asked.own:
        points = zip(_points(asked, condition), ladders, strict=True)
        columns.append(np.array([_gain(point, ladder, measure) for point, ladder in points]))
        bpp = asked.sheet.bpp(condition, with_caption=asked.with_caption)
        rates.append(float(bpp.mean()))
    table = np.stack(columns, axis=1)
    known = np.isfinite(table)
    # Means of nothing are NaN, and no picture: silence numpy, which warns of them.
    overall = np.where(known, table, 0).sum(axis=1) / np.where(known.any(1), known.sum(1), math.nan)
    lines: list[tuple[int | None, float, Values]] = [(None, float(np.mean(rates)), overall)]
    qualities = (condition.quality for condition in asked.own)
    lines += zip(qualities, rates, columns, strict=True)
    for quality, rate, values in lines:
        pictures = int(np.isfinite(values).sum())
        found = _beyond_one(mean_of(values), pictures)
        yield Gain(
            asked.pair,
            quality,
            asked.counted,
            rate,
            measure.name,
            pictures,
            found,
            found.excludes_zero,
        )


def _gain(point: LevelPoint, ladder: Sequence[LevelPoint], measure: Measure) -> float:
    other = value_at_bytes(ladder, point.bytes, point.level)
    gain = measure.better * (point.value - other)
    return gain if math.isfinite(gain) else math.nan


def _beyond_one(found: Interval, pictures: int) -> Interval:
    """No interval where there is one picture: all draws are of it, and would seem certain."""
    return found if pictures > 1 else Interval(found.value, None, None)


def _saved(asked: _Asked) -> SavedBits:
    sheet, own, anchor, measure = asked.sheet, asked.own, asked.anchor, asked.measure
    columns = [sheet.column(condition, measure) for condition in (*own, *anchor)]
    pictures = int(np.isfinite(np.stack(columns)).all(axis=0).sum())
    percent = extra_rate(sheet, anchor, own, measure, with_caption=asked.with_caption)
    found = _beyond_one(percent, pictures)
    return SavedBits(asked.pair, asked.counted, measure.name, pictures, found, found.excludes_zero)
