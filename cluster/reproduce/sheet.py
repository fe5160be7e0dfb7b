"""Rows of an evaluation as columns over pictures, ready for the paired bootstrap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cluster.evaluation.rows import ResultRow
from cluster.evaluation.texts import caption_number, judged_places
from shared.errors import SidewireError

__all__ = ["MEASURES", "Condition", "Measure", "Sheet", "SheetError", "finite"]

Values = NDArray[np.float64]


class SheetError(SidewireError):
    """Nothing was measured that a table could be made of."""


@dataclass(frozen=True)
class Measure:
    """One quality measure.

    Attributes:
        better: +1 where more is better, -1 for distances.
        on_curve: of means, on a scale that rises with quality, for rate-distortion curves.
    """

    name: str
    label: str
    digits: int
    better: int
    of: Callable[[ResultRow], float | None]
    on_curve: Callable[[Values], Values]


def _same(values: Values) -> Values:
    return values


def _decibel(distances: Values) -> Values:
    """``-10 log10``: as :func:`cluster.evaluation.summary.decibel`, for many."""
    with np.errstate(divide="ignore"):
        scaled: Values = -10.0 * np.log10(distances)
    return scaled


def _similarity(values: Values) -> Values:
    return _decibel(1 - values)


JUDGE = Measure("judge", "judge score", 4, 1, lambda row: row.judge, _same)
MEASURES = (
    Measure("psnr", "PSNR (dB)", 3, 1, lambda row: row.psnr, _same),
    Measure("ms_ssim", "MS-SSIM", 4, 1, lambda row: row.ms_ssim, _similarity),
    Measure(
        "feature_distance", "feature distance", 4, -1, lambda row: row.feature_distance, _decibel
    ),
    Measure("ssimulacra2", "SSIMULACRA2", 2, 1, lambda row: row.ssimulacra2, _same),
    JUDGE,
)


@dataclass(frozen=True)
class Condition:
    """What is compared: a codec by its label, a level, and what its decoder is told."""

    codec: str
    quality: int
    text: str


class Sheet:
    """All rows of one feed.

    Args:
        feed: its name, for titles.
        rows: of complete pictures and others.

    Raises:
        SheetError: no picture has all the rows.
    """

    def __init__(self, feed: str, rows: Sequence[ResultRow]) -> None:
        self.feed = feed
        self._rows = {(Condition(row.codec, row.quality, row.text), row.id): row for row in rows}
        # A picture with more captions than the others was told more: that is left out.
        fewest = min((len(row.judge_scores) for row in rows), default=0)
        beyond = {c for c, _ in self._rows if caption_number(c.text) > fewest}
        found: dict[Condition, set[str]] = {}
        for condition, name in self._rows:
            if condition not in beyond:
                found.setdefault(condition, set()).add(name)
        self.conditions = tuple(found)
        every = dict.fromkeys(row.id for row in rows)
        self.ids = tuple(name for name in every if all(name in have for have in found.values()))
        if not self.ids:
            raise SheetError(f"{feed}: no picture could be measured in every way")

    def rows(self, condition: Condition) -> list[ResultRow]:
        """Rows of a condition, a picture each."""
        return [self._rows[condition, name] for name in self.ids]

    def column(self, condition: Condition, measure: Measure) -> Values:
        """(N,) values; NaN where a picture was not measured so."""
        values = (measure.of(row) for row in self.rows(condition))
        return np.array([math.nan if value is None else value for value in values])

    def bpp(self, condition: Condition, *, with_caption: bool = False) -> Values:
        """(N,) bits a pixel of the picture, or of picture and caption."""
        rows = self.rows(condition)
        return np.array([row.bpp + with_caption * row.caption_bpp for row in rows])

    def gain(self, condition: Condition, against: Condition, measure: Measure) -> Values:
        """(N,) how much better a condition is, in the measure's unit; over 0 is better.

        Both are judged by the same captions: those that the first one's decoder was not told.
        """
        if measure is JUDGE:
            pairs = zip(self.rows(condition), self.rows(against), strict=True)
            return np.array([_judge_gain(row, other) for row, other in pairs])
        return measure.better * (self.column(condition, measure) - self.column(against, measure))

    def texts(self, codec: str, quality: int) -> tuple[str, ...]:
        """What the codec's decoder was told for every picture."""
        return tuple(c.text for c in self.conditions if (c.codec, c.quality) == (codec, quality))

    def qualities(self, codec: str) -> tuple[int, ...]:
        """Levels of a codec that were measured."""
        return tuple(sorted({c.quality for c in self.conditions if c.codec == codec}))


def _judge_gain(row: ResultRow, other: ResultRow) -> float:
    places = judged_places(row.text, len(row.judge_scores))
    if not places or len(other.judge_scores) != len(row.judge_scores):
        return math.nan
    return float(np.mean([row.judge_scores[i] - other.judge_scores[i] for i in places]))


def finite(*columns: Values) -> Values:
    """Columns (N,) side by side as (N', K): pictures for which all of them exist."""
    table = np.stack(columns, axis=1)
    kept: Values = table[np.isfinite(table).all(axis=1)]
    return kept
