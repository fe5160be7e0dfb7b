"""When pictures are meant to be sent. Pure: no clock, no sockets."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ClosedLoop", "Load", "OpenLoop", "intended_times"]


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Pictures come as they come, however slow the pipeline is.

    Attributes:
        rate: pictures a second of all senders together.
        poisson: gaps are exponentially distributed; else they are equal.
    """

    rate: float
    poisson: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """A picture comes when another has ended.

    Attributes:
        under_way: pictures of each sender that have not ended, at most.
    """

    under_way: int


Load = OpenLoop | ClosedLoop


def intended_times(load: OpenLoop, count: int, sender: int, senders: int) -> Sequence[float]:
    """Seconds from the start at which one of several senders is to send its pictures.

    Equal gaps of several senders interleave to equal gaps; independent Poisson streams add up to one.
    """
    gap = senders / load.rate
    if not load.poisson:
        return [(number + sender / senders) * gap for number in range(count)]
    chance = random.Random(f"{load.seed}/{sender}")
    gaps = (chance.expovariate(1 / gap) for _ in range(count))
    return list(itertools.accumulate(gaps))
