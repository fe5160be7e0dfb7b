"""How many frames a second a cluster has, from what one frame asks of each of its parts.

A closed queueing network (Reiser and Lavenberg, "Mean-Value Analysis of Closed Multichain Queuing Networks",
1980): N decoders go round. Each sleeps over its frame, which nobody else waits for, then stands in line
where frames share something: at a gateway, whose loop has one core, and at the cores of a machine, where
everything is on one. Several cores are a faster one and a delay (Seidmann et al., 1987).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

__all__ = ["Demands", "Machine", "Observed"]


@dataclass(frozen=True, slots=True)
class Observed:
    """One run.

    Attributes:
        frames_per_s: over all gateways.
        gateway_seconds, machine_seconds: processor time a frame of the gateways, and of everything, beyond
            what is used without frames.
        idle_cores: that are busy without frames: each node and each actor of a cluster has its own work.
    """

    decoders: int
    gateways: int
    frames_per_s: float
    gateway_seconds: float
    machine_seconds: float
    idle_cores: float


@dataclass(frozen=True, slots=True)
class Machine:
    """One that all parts share: so many cores, some of them busy without frames."""

    cores: int
    idle_cores: float

    @property
    def free(self) -> float:
        """Cores for frames."""
        return max(0.0, self.cores - self.idle_cores)


@dataclass(frozen=True, slots=True)
class Demands:
    """What one frame asks for, in seconds.

    Attributes:
        alone: of a decoder, what no other frame waits for: the service, and ways to and fro.
        gateway: of a gateway's loop.
        machine: of processors, all in all.
    """

    alone: float
    gateway: float
    machine: float

    @classmethod
    def fitted(cls, runs: Sequence[Observed]) -> Self:
        """The demands that runs with few decoders show, as these hardly wait for each other. Processor
        times are those of the busiest one: few frames are too few to measure them by."""
        busiest = max(runs, key=lambda run: run.frames_per_s)
        gateway, machine = busiest.gateway_seconds, busiest.machine_seconds
        around = statistics.fmean(run.decoders / run.frames_per_s for run in runs)
        return cls(around - gateway - machine, gateway, machine)

    def rate(self, decoders: int, gateways: int = 1, machine: Machine | None = None) -> float:
        """Frames a second, by exact mean value analysis.

        Args:
            machine: that everything is on; None where every part has one of its own.
        """
        lines = [self.gateway / gateways] * gateways
        delay = self.alone + self.machine
        if machine is not None:
            if not machine.free:
                return 0.0
            lines.append(self.machine / machine.free)
            delay -= lines[-1]
        waiting = [0.0] * len(lines)
        rate = 0.0
        for count in range(1, decoders + 1):
            times = [demand * (1 + queue) for demand, queue in zip(lines, waiting, strict=True)]
            rate = count / (max(0.0, delay) + sum(times))
            waiting = [rate * time for time in times]
        return rate

    def limit(self, gateways: int = 1, machine: Machine | None = None) -> float:
        """Frames a second that no number of decoders goes beyond."""
        limit = gateways / self.gateway
        return limit if machine is None else min(limit, machine.free / self.machine)

    def decoders_within(self, efficiency: float, gateways: int = 1) -> int:
        """The most decoders that are so efficient against a single one, on machines of their own."""
        single, count = self.rate(1, gateways), 1
        while self.rate(count + 1, gateways) >= efficiency * (count + 1) * single:
            count += 1
        return count
