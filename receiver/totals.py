"""A line a minute on what a busy receiver did; none while nothing happens."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from receiver.gateway import Gateway
from receiver.refusals import RefusalLog
from receiver.tallies import Tallies, disposition_name
from shared.wire.v1.types_pb2 import Disposition

__all__ = ["Totals"]

log = logging.getLogger("sidewire.receiver")

#: Seconds between two lines.
EVERY_SECONDS = 60.0


class Totals:
    """What was said last, to say what has come since."""

    def __init__(self, tallies: Tallies, refusals: RefusalLog) -> None:
        self._tallies = tallies
        self._refusals = refusals
        self._frames: Counter[Disposition] = Counter()
        self._captions: Counter[Disposition] = Counter()

    async def run(self, gateway: Gateway) -> None:
        """Say it until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self._refusals.flush()
            if line := self.line(gateway):
                log.info("%s", line)

    def line(self, gateway: Gateway) -> str:
        """What has ended since the last call, and what is held; empty where nothing has and nothing is."""
        everything = self._tallies.all
        frames = everything.frames - self._frames
        captions = everything.captions - self._captions
        self._frames, self._captions = everything.frames.copy(), everything.captions.copy()
        left, waiting = gateway.left, gateway.pipeline.queue
        if not (frames or captions or left.frames):
            return ""
        return (
            f"ended in the last minute: {_counted('pictures', frames)}; {_counted('captions', captions)};"
            f" held: {left.frames:,} pictures and {left.captions:,} captions, {waiting:,} decodes wait"
        )


def _counted(what: str, ends: Counter[Disposition]) -> str:
    total = f"{ends.total():,} {what}"
    if not ends:
        return total
    parts = (f"{count:,} {disposition_name(one)}" for one, count in ends.most_common())
    return f"{total} ({', '.join(parts)})"
