"""Means over a feed's pictures: bytes and PSNR of each contender within each budget."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from cluster.evaluation.bootstrap import Interval, interval, resampled_means
from cluster.previews.trial import TrialRow
from cluster.reproduce.tables import Column, Section, TableRow

__all__ = ["means"]

COLUMNS = (Column("pictures that fit"), Column("bytes", 1), Column("PSNR (dB)", 2))
NOTE = (
    "Means over the pictures that fit. Of hashes and tiny copies the format's own bytes count: the"
    " page that shows them states width and height. Previews of ours count whole, header and size"
    " included."
)


def _mean(values: Sequence[float]) -> Interval:
    """A mean with its interval over pictures; without one where pictures were met exactly."""
    column = np.array(values)[:, None]
    if not np.isfinite(column).all():
        return Interval(fmean(values), None, None)
    return interval(fmean(values), resampled_means(column)[:, 0])


def _row(budget: int, contender: str, rows: Sequence[TrialRow]) -> TableRow:
    own = [row for row in rows if (row.budget, row.contender) == (budget, contender)]
    sizes = [row.bytes for row in own if row.bytes is not None]
    fidelities = [row.psnr for row in own if row.psnr is not None]
    means = (fmean(sizes), _mean(fidelities)) if sizes else (None, None)
    return TableRow(f"{budget}, {contender}", (len(sizes), *means))


def means(feed: str, rows: Sequence[TrialRow]) -> Section:
    """One table of a feed; budgets and contenders in the order of the rows."""
    pairs = dict.fromkeys((row.budget, row.contender) for row in rows)
    pictures = len({row.id for row in rows})
    return Section(
        title=f"Within a few bytes, {feed} ({pictures} pictures)",
        first="budget, contender",
        columns=COLUMNS,
        rows=tuple(_row(*pair, rows) for pair in pairs),
        note=NOTE,
    )
