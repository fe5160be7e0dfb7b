"""Paired bootstrap over pictures (Efron and Tibshirani 1993, percentile intervals).

Every statistic here is a function of means over the same pictures, so one draw of pictures serves all
codecs, texts and measures at once: that is what makes it paired.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONFIDENCE", "RESAMPLES", "Interval", "interval", "resampled_means"]

RESAMPLES = 10_000
SEED = 1993
CONFIDENCE = 0.95
#: A statistic that fails to exist in more of the draws than this has no interval.
MISSING_SHARE = 0.025


@dataclass(frozen=True)
class Interval:
    """A figure and its confidence interval; the bounds are None where no interval exists."""

    value: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign of the figure is beyond chance."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def resampled_means(
    values: NDArray[np.float64], resamples: int = RESAMPLES, seed: int = SEED
) -> NDArray[np.float64]:
    """Means over pictures drawn with replacement, the same draws for every column.

    Args:
        values: (N, K), one row a picture, all finite.
        resamples: R.
        seed: equal seeds and N draw equal pictures.

    Returns:
        (R, K).

    Raises:
        ValueError: no picture, or a value that is not finite.
    """
    if not len(values) or not np.isfinite(values).all():
        raise ValueError("the bootstrap needs at least one picture and finite values")
    count = len(values)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    means: NDArray[np.float64] = drawn @ values / count
    return means


def interval(value: float, samples: NDArray[np.float64]) -> Interval:
    """Percentile interval of a statistic.

    Args:
        value: on the pictures themselves.
        samples: (R,), on the draws; NaN where the statistic does not exist.
    """
    known = samples[np.isfinite(samples)]
    if not math.isfinite(value) or len(known) < (1 - MISSING_SHARE) * len(samples):
        return Interval(value, None, None)
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
    return Interval(value, low, high)
