"""Frames a second, by frames' own times. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from cluster.bench.options import Slo
from cluster.bench.rows import FrameRow

__all__ = ["achieved", "goodput", "offered"]

WITH_TEXT = "DECODED_WITH_TEXT"
DECODED = (WITH_TEXT, "DECODED_NO_TEXT", "DECODED_TEXT_LATE")


def offered(rows: Sequence[FrameRow]) -> float:
    """Frames a second by their intended times: of each sender, added up; 0 for a single frame."""
    rate = 0.0
    for sender in {row.sender for row in rows}:
        due = [row.due_s for row in rows if row.sender == sender and row.counts]
        if len(due) > 1 and max(due) > min(due):
            rate += (len(due) - 1) / (max(due) - min(due))
    return rate


def achieved(rows: Sequence[FrameRow]) -> float:
    """Decoded frames a second; see :func:`_rate`."""
    return _rate(rows, [row for row in rows if row.disposition in DECODED])


def _rate(rows: Sequence[FrameRow], some: Iterable[FrameRow]) -> float:
    """Frames a second of these that ended while all senders were under load.

    That is from the first intended time that counts to the last: neither the filling of the pipeline nor
    its emptying is in it. In an open loop no backlog at the end can look like throughput; in a closed
    loop, where one frame comes for each that ends, it is what is offered.
    """
    due: defaultdict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row.counts:
            due[row.sender].append(row.due_s)
    begin = max(map(min, due.values()), default=0.0)
    end = min(map(max, due.values()), default=0.0)
    count = sum(row.ended_s is not None and begin < row.ended_s <= end for row in some)
    return count / (end - begin) if end > begin else 0.0


def goodput(rows: Sequence[FrameRow], slo: Slo) -> float:
    """Frames a second that were decoded in time, no more than the share with text allows.

    Where fewer than ``text_rate`` of them have their text, so many count that the share is kept.
    """
    in_time = [
        row
        for row in rows
        if row.disposition in DECODED and row.e2e_ms is not None and row.e2e_ms <= slo.e2e_ms
    ]
    rate = _rate(rows, in_time)
    if slo.text_rate == 0:
        return rate
    worded = _rate(rows, [row for row in in_time if row.disposition == WITH_TEXT])
    return min(rate, worded / slo.text_rate)
