"""BD-rate inside a rate window: how many more bits one curve needs than another, in percent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["RATE_WINDOW", "BdRate", "Curve", "bd_rate"]

#: Bits per pixel between which codecs are compared, unless told otherwise.
RATE_WINDOW = (0.1, 0.6)


def _rises(numbers: tuple[float, ...]) -> bool:
    return all(before < after for before, after in pairwise(numbers))


@dataclass(frozen=True)
class Curve:
    """A rate-distortion curve, kept sorted by rate.

    Attributes:
        rates: bits per pixel, over 0.
        values: quality at each rate, the larger the better.

    Raises:
        ValueError: not as many values as rates, or a rate that is not over 0.
    """

    rates: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if any(rate <= 0 for rate in self.rates):
            raise ValueError(f"rates must be over 0 bits per pixel: {self.rates}")
        points = sorted(zip(self.rates, self.values, strict=True))
        object.__setattr__(self, "rates", tuple(rate for rate, _ in points))
        object.__setattr__(self, "values", tuple(value for _, value in points))

    @property
    def is_monotone(self) -> bool:
        """Whether quality rises with every bit, over two or more points, all of them finite."""
        finite = all(map(math.isfinite, self.values))
        return len(self.values) > 1 and finite and _rises(self.rates) and _rises(self.values)


@dataclass(frozen=True)
class BdRate:
    """A BD-rate and the qualities it was integrated over.

    Attributes:
        percent: bits that the test curve needs beyond the anchor's; negative is a saving.
        low_value, high_value: the quality interval, in the curves' unit.
    """

    percent: float
    low_value: float
    high_value: float


def _value_at(curve: Curve, log_rate: Any, rate: float) -> float:
    """Quality of a curve at a rate; the curve's end where the rate is beyond it."""
    if rate <= curve.rates[0]:
        return curve.values[0]
    if rate >= curve.rates[-1]:
        return curve.values[-1]
    return float(log_rate.solve(np.log10(rate), extrapolate=False)[0])


def bd_rate(
    anchor: Curve,
    test: Curve,
    low: float = RATE_WINDOW[0],
    high: float = RATE_WINDOW[1],
) -> BdRate | None:
    """Mean difference in rate of ``test`` against ``anchor`` at equal quality, in a rate window.

    Log-rate is interpolated over quality by the ``bjontegaard`` package's ``pchip``, the one of its
    methods that is monotone between monotone points (``akima`` and ``cubic`` can overshoot). All
    points of both curves shape the interpolation; the window only says where to integrate.

    BD-rate integrates over quality, so a window in rate must become one in quality. The *anchor*
    does that, being the fixed side of the comparison: the interval is what both curves reach, cut
    to the qualities that the anchor's interpolated curve has at ``low`` and at ``high`` bits per
    pixel. So a codec is judged at the qualities which the anchor offers for these rates, though it
    may itself spend fewer bits than ``low`` on them. Swapping the curves changes the interval.

    Args:
        low, high: the window in bits per pixel.

    Returns:
        None where no BD-rate exists: the curves share no quality inside the window, or a curve has
        fewer than two points, an infinite value, or a quality that does not rise with the rate.

    Raises:
        ValueError: not ``0 < low < high``.
    """
    if not 0 < low < high:
        raise ValueError(f"no rate window: {low} to {high} bits per pixel")
    if not (anchor.is_monotone and test.is_monotone):
        return None
    # It imports all that draws, a second's work, and every training imports this module.
    from bjontegaard.interpolation import interpolate  # noqa: PLC0415

    anchor_log_rate = interpolate(anchor.values, np.log10(anchor.rates), "pchip")
    test_log_rate = interpolate(test.values, np.log10(test.rates), "pchip")
    low_value = max(test.values[0], _value_at(anchor, anchor_log_rate, low))
    high_value = min(test.values[-1], _value_at(anchor, anchor_log_rate, high))
    if low_value >= high_value:
        return None
    area = test_log_rate.integrate(low_value, high_value)
    area -= anchor_log_rate.integrate(low_value, high_value)
    percent = 100 * (10 ** (area / (high_value - low_value)) - 1)
    return BdRate(float(percent), float(low_value), float(high_value))
