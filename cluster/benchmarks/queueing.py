"""How many frames a second a cluster has, from what one frame asks of each of its parts.

Operational analysis (Denning and Buzen, "The Operational Analysis of Queueing Network Models", 1978): a part
that is busy for D seconds a frame lets through 1 / D frames a second at most, and the slowest part is the
limit. The parts are decoders, N of them; a gateway, whose loop has one core; and the cores of a
machine that everything shares, where everything is on one machine.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Demands", "Observed", "Part"]

Part = Literal["decoders", "gateway", "machine"]


@dataclass(frozen=True, slots=True)
class Observed:
    """One run.

    Attributes:
        frames_per_s: over all gateways.
        gateway_seconds: processor time of the gateways, a frame.
        machine_seconds: processor time of all that belongs to the run, a frame; what a node of the cluster
            costs without any frames is in it.
    """

    decoders: int
    gateways: int
    frames_per_s: float
    gateway_seconds: float
    machine_seconds: float


@dataclass(frozen=True, slots=True)
class Demands:
    """What one frame asks for.

    Attributes:
        decoder: seconds of a decoder: the service itself, and the way from one batch to the next.
        gateway: processor seconds of a gateway.
        machine: processor seconds of the machine that everything is on.
        cores: of that machine; 0 where every part has a machine of its own.
    """

    decoder: float
    gateway: float
    machine: float = 0.0
    cores: int = 0

    @classmethod
    def fitted(cls, runs: Sequence[Observed], cores: int) -> Demands:
        """From runs that decoders limit, and processor times of the busiest one of them: with few frames
        a second, what idle processes cost would look like a frame's."""
        busiest = max(runs, key=lambda run: run.frames_per_s)
        return cls(
            decoder=statistics.fmean(run.decoders / run.frames_per_s for run in runs),
            gateway=busiest.gateway_seconds,
            machine=busiest.machine_seconds,
            cores=cores,
        )

    def limits(self, decoders: int, gateways: int = 1) -> dict[Part, float]:
        """Frames a second that each part lets through."""
        limits: dict[Part, float] = {
            "decoders": decoders / self.decoder,
            "gateway": gateways / self.gateway,
        }
        if self.cores:
            limits["machine"] = self.cores / self.machine
        return limits

    def rate(self, decoders: int, gateways: int = 1) -> float:
        """Frames a second."""
        return min(self.limits(decoders, gateways).values())

    def limit(self, decoders: int, gateways: int = 1) -> Part:
        """The part that sets the rate."""
        limits = self.limits(decoders, gateways)
        return min(limits, key=lambda part: limits[part])

    def apart(self) -> Demands:
        """The same parts on machines of their own."""
        return Demands(self.decoder, self.gateway)

    def most_decoders(self, gateways: int = 1) -> int:
        """So many are kept busy; more add nothing."""
        rest = [value for part, value in self.limits(1, gateways).items() if part != "decoders"]
        return int(min(rest) * self.decoder)
