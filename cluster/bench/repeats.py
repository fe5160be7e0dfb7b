"""A figure that was measured several times: its mean, and Student's 95 % interval of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from cluster.evaluation.bootstrap import Interval

__all__ = ["MOST_REPEATS", "mean_interval", "relative_width"]

#: Of Student's t for 1, 2, ... degrees of freedom: the quantile at 0.975.
QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093),
)
MOST_REPEATS = len(QUANTILES) + 1


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of a figure a repeat, at most :data:`MOST_REPEATS`, and its interval: one alone has none."""
    if not values:
        return Interval(math.nan, None, None)
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(mean, None, None)
    half = QUANTILES[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def relative_width(found: Interval) -> float:
    """The interval's width as a share of the mean; infinite where there is none."""
    if found.low is None or found.high is None or found.value <= 0:
        return math.inf
    return (found.high - found.low) / found.value
