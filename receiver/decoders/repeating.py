"""Batches that outlive their decoders, whatever a decoder is."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from receiver.work import DecodeFailure, DecodeResult, DecodeTask
from shared.workers import WorkerDiedError

__all__ = ["DEATHS", "decode_through_deaths"]

log = logging.getLogger("sidewire.receiver")

#: A task whose decoder has died so often is what kills it.
DEATHS = 3

Results = list[DecodeResult | DecodeFailure]
#: Decodes by a decoder that lives; WorkerDiedError if it dies over the tasks.
Attempt = Callable[[Sequence[DecodeTask]], Awaitable[Results]]


async def decode_through_deaths(attempt: Attempt, tasks: Sequence[DecodeTask]) -> Results:
    """One result a task. A batch over which its decoder has died is repeated one task at a time: the
    task that kills its decoder three times becomes a failure, the others are decoded."""
    try:
        return await attempt(tasks)
    except WorkerDiedError as death:
        log.warning("a decoder died over %d pictures, which are repeated: %s", len(tasks), death)
        return [await _decode_alone(attempt, task) for task in tasks]


async def _decode_alone(attempt: Attempt, task: DecodeTask) -> DecodeResult | DecodeFailure:
    """Decode a task whose decoder has died once already, perhaps for another one's sake."""
    reason = ""
    for _ in range(1, DEATHS):
        try:
            (result,) = await attempt([task])
            return result
        except WorkerDiedError as death:
            log.warning("a decoder died over %s: %s", task.frame.key, death)
            reason = str(death)
    return DecodeFailure(f"its decoder died {DEATHS} times, the last time: {reason}")
