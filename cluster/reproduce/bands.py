"""Lines with their intervals as bands around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from cluster.evaluation.bootstrap import Interval

__all__ = ["draw_band"]


def draw_band(
    axes: Axes, points: Sequence[tuple[float, Interval]], label: str, linestyle: str = "-"
) -> None:
    """Figures over the rate as a line, their intervals as a band around it, where they exist."""
    rows = [(rate, found.value, found.low, found.high) for rate, found in points]
    rates, values, lows, highs = np.array(rows, np.float64).T
    (line,) = axes.plot(rates, values, marker="o", markersize=3, linestyle=linestyle, label=label)
    axes.fill_between(rates, lows, highs, alpha=0.2, color=line.get_color())
