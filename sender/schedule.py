"""When captions leave: delay, loss and disorder for experiments, from a seed. Pure: no clock, no sockets."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Disturbance", "schedule"]

T = TypeVar("T")


@dataclass(frozen=True)
class Disturbance:
    """What happens to captions on their way out.

    Attributes:
        delay: seconds that each is held back.
        jitter: up to so many seconds more, evenly distributed; order is kept.
        drop: share that is never sent.
        shuffle: size of the window that leaves in random order; 0 keeps the order.
        rate: captions a second; None for as fast as they can be sent.
    """

    delay: float = 0.0
    jitter: float = 0.0
    drop: float = 0.0
    shuffle: int = 0
    rate: float | None = None
    seed: int = 0


def schedule(
    items: Iterable[T], disturbance: Disturbance, due_at: Callable[[T], float] | None = None
) -> Iterator[tuple[float, T]]:
    """(seconds after the start, item) in the order of sending.

    Args:
        due_at: an item's time without delay and jitter, instead of the rate's.
    """
    chance = random.Random(disturbance.seed)
    last = 0.0
    kept = (one for one in enumerate(items) if chance.random() >= disturbance.drop)
    for index, item in _shuffled(kept, disturbance.shuffle, chance):
        due = index / disturbance.rate if disturbance.rate else 0.0
        if due_at is not None:
            due = due_at(item)
        due += disturbance.delay + chance.uniform(0, disturbance.jitter)
        last = max(last, due)
        yield last, item


def _shuffled(
    items: Iterable[tuple[int, T]], window: int, chance: random.Random
) -> Iterator[tuple[int, T]]:
    held: list[tuple[int, T]] = []
    for one in items:
        held.append(one)
        if len(held) > window:
            yield held.pop(chance.randrange(len(held)) if window else 0)
    chance.shuffle(held)
    yield from held
