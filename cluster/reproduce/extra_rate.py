"""BD-rate of thousands of resampled curves at once.

The same figure as :func:`shared.metrics.bd_rate` takes over all that two curves share: mean difference
of log-rate over quality, interpolated by PCHIP (Fritsch and Butland, "A Method for Constructing Local
Monotone Piecewise Cubic Interpolants", 1984). One curve at a time the bootstrap would take minutes a table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["extra_rates_percent"]

Values = NDArray[np.float64]


def _end_slope(h0: Values, h1: Values, m0: Values, m1: Values) -> Values:
    """One-sided three-point slope, kept from overshooting."""
    slope = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    slope = np.where(np.sign(slope) != np.sign(m0), 0.0, slope)
    steep = (np.sign(m0) != np.sign(m1)) & (np.abs(slope) > 3 * np.abs(m0))
    clipped: Values = np.where(steep, 3 * m0, slope)
    return clipped


def _slopes(h: Values, m: Values) -> Values:
    """Derivatives (R, n) at the knots, from interval widths and secants (R, n - 1)."""
    if h.shape[1] == 1:
        return np.repeat(m, 2, axis=1)
    before, after = m[:, :-1], m[:, 1:]
    first, second = 2 * h[:, 1:] + h[:, :-1], h[:, 1:] + 2 * h[:, :-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        harmonic = (first + second) / (first / before + second / after)
    inner = np.where(before * after > 0, harmonic, 0.0)
    left = _end_slope(h[:, 0], h[:, 1], m[:, 0], m[:, 1])
    right = _end_slope(h[:, -1], h[:, -2], m[:, -1], m[:, -2])
    return np.concatenate([left[:, None], inner, right[:, None]], axis=1)


def _integral(x: Values, y: Values, low: Values, high: Values) -> Values:
    """Integral (R,) of PCHIP through (x, y), each (R, n), from ``low`` to ``high``, each (R,)."""
    h = np.diff(x, axis=1)
    m = np.diff(y, axis=1) / h
    d = _slopes(h, m)
    d0, d1, y0 = d[:, :-1], d[:, 1:], y[:, :-1]
    quadratic, cubic = (3 * m - 2 * d0 - d1) / h, (d0 + d1 - 2 * m) / h**2

    def below(bound: Values) -> Values:
        """From the first knot to ``bound``: every interval gives what lies under it."""
        t = np.clip(bound[:, None] - x[:, :-1], 0, h)
        parts = t * (y0 + t * (d0 / 2 + t * (quadratic / 3 + t * cubic / 4)))
        total: Values = parts.sum(axis=1)
        return total

    return below(high) - below(low)


def _rises(x: Values) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (np.diff(x, axis=1) > 0).all(axis=1) & np.isfinite(x).all(axis=1)
    return found


def extra_rates_percent(
    anchor_rates: Values, anchor: Values, test_rates: Values, test: Values
) -> Values:
    """Bits that the test curves need beyond the anchors' at equal quality.

    Args:
        anchor_rates: (R, n) bits per pixel, over 0.
        anchor: (R, n) quality, rising with the rate.
        test_rates: (R, k).
        test: (R, k).

    Returns:
        (R,) percent; NaN where a curve does not rise or the two share no quality.
    """
    curves = (anchor_rates, anchor, test_rates, test)
    valid = np.logical_and.reduce([_rises(curve) for curve in curves])
    low = np.maximum(anchor[:, 0], test[:, 0])
    high = np.minimum(anchor[:, -1], test[:, -1])
    valid &= low < high
    percent = np.full(len(anchor), np.nan)
    if valid.any():
        low, high = low[valid], high[valid]
        area = _integral(test[valid], np.log10(test_rates[valid]), low, high)
        area -= _integral(anchor[valid], np.log10(anchor_rates[valid]), low, high)
        percent[valid] = 100 * (10 ** (area / (high - low)) - 1)
    return percent
