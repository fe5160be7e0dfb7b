"""Means over pictures, rate-distortion curves and BD-rates. A curve's rate counts the captions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import fmean

from cluster.evaluation.rows import BdRateRow, Levels, ResultRow, SummaryRow
from shared.metrics import Curve, bd_rate, ms_ssim_db
from shared.systems.catalogue import systems

__all__ = [
    "BASELINES",
    "METRICS",
    "Metric",
    "bd_rates",
    "curve_of",
    "decibel",
    "named_curves",
    "summarise",
]

BASELINES = "baseline/"
#: Baselines are compared with each other by way of this one.
COMMON_ANCHOR = "baseline/webp"


@dataclass(frozen=True)
class Metric:
    """A curve's quality axis."""

    name: str
    label: str
    of: Callable[[SummaryRow], float | None]


METRICS = (
    Metric("psnr", "PSNR (dB)", lambda row: row.psnr),
    Metric(
        "ms_ssim",
        "MS-SSIM (dB)",
        lambda row: None if row.ms_ssim is None else ms_ssim_db(row.ms_ssim),
    ),
    Metric("ssimulacra2", "SSIMULACRA2", lambda row: row.ssimulacra2),
    Metric(
        "feature_distance",
        "feature distance (dB, higher is nearer)",
        lambda row: None if row.feature_distance is None else decibel(row.feature_distance),
    ),
    Metric("judge", "judge score", lambda row: row.judge),
)


def decibel(distance: float) -> float:
    """A distance on a scale that rises with quality: ``-10 log10``, inf at 0."""
    return -10 * math.log10(distance) if distance > 0 else math.inf


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def summarise(rows: Iterable[ResultRow], levels: Levels) -> tuple[SummaryRow, ...]:
    """Means of every codec, text and level that has rows; texts in the order of their rows."""
    groups: dict[tuple[str, str, int], list[ResultRow]] = defaultdict(list)
    for row in rows:
        groups[row.codec, row.text, row.quality].append(row)
    texts = dict.fromkeys(text for _, text, _ in groups)
    keys = [(name, text, level) for name, own in levels.items() for text in texts for level in own]
    return tuple(
        SummaryRow(
            codec=name,
            quality=level,
            text=text,
            pictures=len(group),
            bpp=fmean(row.bpp for row in group),
            caption_bpp=fmean(row.caption_bpp for row in group),
            psnr=fmean(row.psnr for row in group),
            ms_ssim=_mean(row.ms_ssim for row in group),
            ssimulacra2=_mean(row.ssimulacra2 for row in group),
            feature_distance=_mean(row.feature_distance for row in group),
            judge=_mean(row.judge for row in group),
            trust=_mean(row.trust for row in group),
            encode_ms=_mean(row.encode_ms for row in group),
            decode_ms=_mean(row.decode_ms for row in group),
        )
        for name, text, level in keys
        if (group := groups.get((name, text, level)))
    )


def named_curves(summary: Sequence[SummaryRow]) -> tuple[tuple[str, str], ...]:
    """Codecs and what they were told: one rate-distortion curve each."""
    return tuple(dict.fromkeys((row.codec, row.text) for row in summary))


def curve_of(summary: Sequence[SummaryRow], codec: str, text: str, metric: Metric) -> Curve:
    """Quality over bits per pixel of picture and caption together."""
    rows = [row for row in summary if (row.codec, row.text) == (codec, text)]
    points = [
        (row.bpp + row.caption_bpp, value) for row in rows if (value := metric.of(row)) is not None
    ]
    return Curve(tuple(rate for rate, _ in points), tuple(value for _, value in points))


def _same_stream(curve: tuple[str, str], anchor: tuple[str, str]) -> bool:
    """Whether a stream's own system meets another one of it: a predecessor, a twin."""
    known = systems()
    names = curve[0], anchor[0]
    own, other = (known[name].stream if name in known else "" for name in names)
    return bool(own) and own == other == names[0] != names[1]


def bd_rates(summary: Sequence[SummaryRow], window: tuple[float, float]) -> tuple[BdRateRow, ...]:
    """Every codec of ours against the baselines and others of its stream; baselines against a common one."""
    curves = named_curves(summary)
    baselines = [(name, text) for name, text in curves if name.startswith(BASELINES)]
    pairs = [
        (curve, anchor)
        for curve in curves
        for anchor in baselines
        if curve not in baselines or (anchor[0] == COMMON_ANCHOR != curve[0])
    ]
    pairs += [pair for pair in permutations(curves, 2) if _same_stream(*pair)]
    rows = []
    for curve, anchor in pairs:
        for metric in METRICS:
            both = curve_of(summary, *anchor, metric), curve_of(summary, *curve, metric)
            found = bd_rate(*both, *window)
            rows.append(
                BdRateRow(
                    codec=curve[0],
                    text=curve[1],
                    anchor=anchor[0],
                    metric=metric.name,
                    percent=found.percent if found else None,
                    low_value=found.low_value if found else None,
                    high_value=found.high_value if found else None,
                    window_bpp=window,
                )
            )
    return tuple(rows)
