"""The bare loop: a feed's pictures are decoded from their files, encoded, decoded and written, and no more.

No sockets, no journal, no ledger, no joining: what the networks and the coder alone allow on this
machine, in the layout and with the batch that are fastest here. The same codec, words and output format
as in the pipeline; pictures come from memory, which is in the bare loop's favour.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from cluster.bench.bare_process import BarePass, BareSpec, Times, build_bare
from shared.errors import SidewireError
from shared.workers import WorkerProcess

__all__ = ["BareChoice", "BareLoop", "BareRate"]

BATCHES = (1, 4, 8)
#: Pictures of a warm-up, and of each trial.
WARMUP = 2
TRIAL = 16
PASS_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class BareChoice:
    """A layout: processes, threads of each, and pictures in a batch."""

    processes: int
    threads: int
    batch: int


@dataclass(frozen=True, slots=True)
class BareRate:
    """Frames a second, and the layout that has them."""

    frames_per_s: float
    choice: BareChoice


BareProcess = WorkerProcess[None, BarePass, Times | SidewireError]


class BareLoop:
    """The fastest layout, found once and then measured as often as is asked."""

    def __init__(self, spec: Callable[[int], BareSpec]) -> None:
        """``spec`` is called with the threads of a process."""
        cores = len(os.sched_getaffinity(0))
        self._processes = {
            (count, threads): [
                BareProcess("bare loop", partial(build_bare, spec(threads)), PASS_SECONDS)
                for _ in range(count)
            ]
            for count, threads in {(1, cores), (cores, 1)}
        }
        self.choice: BareChoice

    async def start(self) -> None:
        """Find the fastest layout; the processes of the others end.

        Raises:
            SidewireError: a picture cannot be encoded or decoded.
        """
        rates: dict[BareChoice, float] = {}
        for (count, threads), processes in self._processes.items():
            await asyncio.gather(*(process.start() for process in processes))
            for batch in BATCHES:
                choice = BareChoice(count, threads, batch)
                await self._rate(choice, max(WARMUP, batch) * count)
                rates[choice] = await self._rate(choice, TRIAL)
            # Idle threads of another layout would still spin for a while.
            await asyncio.gather(*(process.stop() for process in processes))
        self.choice = max(rates, key=lambda choice: rates[choice])
        await asyncio.gather(*(process.start() for process in self._chosen))
        await self._rate(self.choice, WARMUP * self.choice.processes)

    async def rate(self, count: int) -> BareRate:
        """Measured over so many pictures.

        Raises:
            SidewireError: as :meth:`start`.
        """
        return BareRate(await self._rate(self.choice, count), self.choice)

    async def stop(self) -> None:
        """End all processes."""
        every = itertools.chain.from_iterable(self._processes.values())
        await asyncio.gather(*(process.stop() for process in every))

    @property
    def pids(self) -> Sequence[int]:
        """The ids of the processes that wait for their turn."""
        every = itertools.chain.from_iterable(self._processes.values())
        return [process.pid for process in every if process.pid is not None]

    @property
    def _chosen(self) -> Sequence[BareProcess]:
        return self._processes[self.choice.processes, self.choice.threads]

    async def _rate(self, choice: BareChoice, count: int) -> float:
        processes = self._processes[choice.processes, choice.threads]
        passes = (
            process.ask(BarePass(first, choice.processes, count, choice.batch))
            for first, process in enumerate(processes)
        )
        times: list[Times] = []
        for answer in await asyncio.gather(*passes):
            if isinstance(answer, SidewireError):
                raise answer
            times.append(answer)
        return count / (max(ended for _, ended in times) - min(began for began, _ in times))
