"""Means over pictures, rate-distortion curves and BD-rates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from cluster.evaluation.measure import NO_TEXT
from cluster.evaluation.rows import BdRateRow, Levels, ResultRow, SummaryRow
from shared.metrics import Curve, bd_rate, ms_ssim_db

__all__ = ["BASELINES", "METRICS", "Metric", "bd_rates", "curve_of", "summarise"]

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
)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def summarise(rows: Iterable[ResultRow], levels: Levels) -> tuple[SummaryRow, ...]:
    groups: dict[tuple[str, int], list[ResultRow]] = defaultdict(list)
    for row in rows:
        groups[row.codec, row.quality].append(row)
    keys = [(name, level) for name, own in levels.items() for level in own]
    return tuple(
        SummaryRow(
            codec=name,
            quality=level,
            text=NO_TEXT,
            pictures=len(group),
            bpp=fmean(row.bpp for row in group),
            caption_bpp=fmean(row.caption_bpp for row in group),
            psnr=fmean(row.psnr for row in group),
            ms_ssim=_mean(row.ms_ssim for row in group),
            ssimulacra2=_mean(row.ssimulacra2 for row in group),
            encode_ms=_mean(row.encode_ms for row in group),
            decode_ms=_mean(row.decode_ms for row in group),
        )
        for name, level in keys
        if (group := groups[name, level])
    )


def curve_of(summary: Sequence[SummaryRow], codec: str, metric: Metric) -> Curve:
    rows = [row for row in summary if row.codec == codec]
    points = [(row.bpp, value) for row in rows if (value := metric.of(row)) is not None]
    return Curve(tuple(rate for rate, _ in points), tuple(value for _, value in points))


def bd_rates(
    summary: Sequence[SummaryRow], levels: Levels, window: tuple[float, float]
) -> tuple[BdRateRow, ...]:
    """Every codec of ours against every baseline, and the baselines against the common anchor."""
    baselines = [name for name in levels if name.startswith(BASELINES)]
    pairs = [
        (codec, anchor)
        for codec in levels
        for anchor in baselines
        if codec not in baselines or (anchor == COMMON_ANCHOR != codec)
    ]
    rows = []
    for codec, anchor in pairs:
        for metric in METRICS:
            curves = curve_of(summary, anchor, metric), curve_of(summary, codec, metric)
            found = bd_rate(*curves, *window)
            rows.append(
                BdRateRow(
                    codec=codec,
                    anchor=anchor,
                    metric=metric.name,
                    percent=found.percent if found else None,
                    low_value=found.low_value if found else None,
                    high_value=found.high_value if found else None,
                    window_bpp=window,
                )
            )
    return tuple(rows)
