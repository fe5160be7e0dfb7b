"""Statistics of pairs of conditions, each with a paired bootstrap interval over pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from cluster.evaluation.bootstrap import Interval, interval, resampled_means
from cluster.reproduce.extra_rate import extra_rates_percent
from cluster.reproduce.sheet import Condition, Measure, Sheet, finite

__all__ = ["extra_rate", "gain_at_total_bits", "mean_gain", "mean_of"]

Values = NDArray[np.float64]


def mean_of(values: Values) -> Interval:
    """A mean over pictures."""
    column = finite(values)
    if not len(column):
        return Interval(math.nan, None, None)
    return interval(float(column.mean()), resampled_means(column)[:, 0])


def mean_gain(sheet: Sheet, condition: Condition, against: Condition, measure: Measure) -> Interval:
    """How much better one condition is than another, in the measure's unit."""
    return mean_of(sheet.gain(condition, against, measure))


def _curve(
    sheet: Sheet, conditions: Sequence[Condition], measure: Measure, *, with_caption: bool
) -> list[Values]:
    """Columns of rates, then of values."""
    return [
        *(sheet.bpp(c, with_caption=with_caption) for c in conditions),
        *(sheet.column(c, measure) for c in conditions),
    ]


def extra_rate(
    sheet: Sheet,
    anchor: Sequence[Condition],
    test: Sequence[Condition],
    measure: Measure,
    *,
    with_caption: bool = False,
) -> Interval:
    """Bits that ``test`` needs beyond ``anchor`` at equal quality, in percent: BD-rate of mean curves.

    The picture's bits alone, as papers count, or those of picture and caption. No interval where the
    curves of more than a few draws have no BD-rate, as when a measure does not rise with the rate.
    """
    curves = (_curve(sheet, c, measure, with_caption=with_caption) for c in (anchor, test))
    table = finite(*chain.from_iterable(curves))
    if not len(table) or len(anchor) < 2 or len(test) < 2:
        return Interval(math.nan, None, None)
    ends = np.cumsum([len(anchor), len(anchor), len(test)])

    def percent(means: Values) -> Values:
        anchor_rates, anchor_values, test_rates, test_values = np.split(means, ends, axis=1)
        return extra_rates_percent(
            anchor_rates, measure.on_curve(anchor_values), test_rates, measure.on_curve(test_values)
        )

    value = float(percent(table.mean(axis=0, keepdims=True))[0])
    return interval(value, percent(resampled_means(table)))


def gain_at_total_bits(
    sheet: Sheet, condition: Condition, ladder: Sequence[Condition], measure: Measure
) -> Interval:
    """How much better a condition is than another codec's ladder, at bits of picture and caption.

    The ladder's quality is interpolated linearly over the logarithm of the rate, between its levels'
    means. No figure where the condition's rate lies outside the ladder.
    """
    table = finite(
        sheet.bpp(condition, with_caption=True),
        sheet.column(condition, measure),
        *(sheet.bpp(c, with_caption=True) for c in ladder),
        *(sheet.column(c, measure) for c in ladder),
    )
    if not len(table):
        return Interval(math.nan, None, None)
    count = len(ladder)

    def gains(means: Values) -> Values:
        rates, curve = np.log(means[:, 2 : 2 + count]), means[:, 2 + count :]
        own = np.log(means[:, 0])
        other = [
            np.interp(rate, xs, ys, left=math.nan, right=math.nan)
            for rate, xs, ys in zip(own, rates, curve, strict=True)
        ]
        gained: Values = measure.better * (means[:, 1] - np.array(other))
        return gained

    value = float(gains(table.mean(axis=0, keepdims=True))[0])
    return interval(value, gains(resampled_means(table)))
