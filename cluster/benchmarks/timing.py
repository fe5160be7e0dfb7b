"""Timing two things in one run, in turn, so that a drifting machine slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["interleaved_medians"]


def interleaved_medians(
    calls: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, float]:
    """Median wall time of each call in milliseconds, after one uncounted round."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_number in range(repeats + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if round_number:
                times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}
