"""Lines of the table: means of codecs, texts and levels, and times as shares of base's."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean

from cluster.compare.choice import BASE
from cluster.compare.pairs import placement_of
from cluster.compare.records import RateRow
from cluster.evaluation.rows import Levels, ResultRow, SummaryRow
from cluster.evaluation.summary import summarise

__all__ = ["rate_rows"]


def rate_rows(rows: Sequence[ResultRow], levels: Levels) -> tuple[RateRow, ...]:
    """A line for every codec, text and level that has rows."""
    groups: dict[tuple[str, str, int], list[ResultRow]] = defaultdict(list)
    for row in rows:
        groups[row.codec, row.text, row.quality].append(row)
    summary = summarise(rows, levels)
    base = [mean for mean in summary if mean.codec == BASE]
    lines = []
    for mean in summary:
        group = groups[mean.codec, mean.text, mean.quality]
        nearest = min(base, key=lambda own: _distance(own, mean), default=None)
        lines.append(
            RateRow(
                mean=mean,
                text_at=placement_of(mean.codec).value,
                bytes=fmean(row.bytes for row in group),
                caption_bytes=fmean(row.caption_bytes for row in group),
                encode_ratio=_ratio(mean, nearest, lambda one: one.encode_ms),
                decode_ratio=_ratio(mean, nearest, lambda one: one.decode_ms),
            )
        )
    return tuple(lines)


def _distance(one: SummaryRow, other: SummaryRow) -> float:
    return abs(math.log(one.bpp / other.bpp))


def _ratio(
    own: SummaryRow, base: SummaryRow | None, time_of: Callable[[SummaryRow], float | None]
) -> float | None:
    if base is None:
        return None
    mine, theirs = time_of(own), time_of(base)
    return mine / theirs if mine is not None and theirs else None
