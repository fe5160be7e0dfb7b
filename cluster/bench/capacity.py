"""How many pictures a second so many nodes have, and what limits them, from times that were measured.

Decoders go round in a closed queueing network (:mod:`cluster.bench.queueing`); senders and the wire let
through what their cores and bits do. Every part is on machines of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from cluster.bench.queueing import Demands
from cluster.bench.service_times import SHIPPED, ServiceTimes
from shared.errors import SidewireError

__all__ = ["Capacity", "Part", "Plan", "PlanError", "capacity"]

#: Far beyond any cluster, and still worked out in a second.
MOST = 10_000


class PlanError(SidewireError):
    """A plan that is malformed: the message names the field, what it must be, and what it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to be.

    Attributes:
        nodes: with decoders.
        cpus, gpus: of each of them; one of the two. A CPU has one decoder.
        gpu_rate: pictures a second that a GPU decodes, as ``cluster.benchmarks.gpu`` says; None where nobody
            has measured it.
        gateways: each with a core of its own.
        sender_cpus: of all senders; None to be told how many it takes.
        mbit: a second, of each gateway's line; None to be told how many it takes.
        report: where the service times are from, as :meth:`ServiceTimes.read` takes it.
    """

    nodes: int
    cpus: int = 0
    gpus: int = 0
    gpu_rate: float | None = None
    gateways: int = 1
    sender_cpus: int | None = None
    mbit: float | None = None
    report: Path = SHIPPED

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a plan such as ``nodes=4,cpus=16,gateways=2``.

        Raises:
            PlanError: a field is unknown, missing, given twice, or no such number.
        """
        given: dict[str, str] = {}
        for part in text.split(","):
            name, equals, value = part.strip().partition("=")
            if name not in (known := [one.name for one in fields(cls)]):
                raise PlanError(
                    f"plan has {part.strip()!r}, must be one of {', '.join(known)} and =VALUE"
                )
            if not equals or not value:
                raise PlanError(f"plan has {part.strip()!r}, must be {name}=VALUE")
            if name in given:
                raise PlanError(f"plan has {name} twice: {given[name]} and {value}")
            given[name] = value
        if "nodes" not in given:
            raise PlanError(f"plan is {text!r}, must name nodes")
        plan = cls(
            nodes=_count(given, "nodes", 1) or 0,
            cpus=_count(given, "cpus", 0) or 0,
            gpus=_count(given, "gpus", 0) or 0,
            gpu_rate=_number(given, "gpu_rate"),
            gateways=_count(given, "gateways", 1) or 1,
            sender_cpus=_count(given, "sender_cpus", 1),
            mbit=_number(given, "mbit"),
            report=Path(given["report"]) if "report" in given else SHIPPED,
        )
        if bool(plan.cpus) == bool(plan.gpus):
            raise PlanError(
                f"plan has cpus={plan.cpus} and gpus={plan.gpus}, must have one of them:"
                " the decoders of a cluster are alike"
            )
        if plan.gpu_rate is not None and not plan.gpus:
            raise PlanError(f"plan has gpu_rate={plan.gpu_rate:g}, must have gpus too")
        if plan.decoders > MOST:
            raise PlanError(f"plan has {plan.decoders} decoders, must have at most {MOST}")
        return plan

    @property
    def decoders(self) -> int:
        """One a CPU, or one a GPU."""
        return self.nodes * (self.cpus or self.gpus)


def _count(given: dict[str, str], name: str, least: int) -> int | None:
    if name not in given:
        return None
    try:
        value = int(given[name])
    except ValueError:
        value = least - 1
    if not least <= value <= MOST:
        raise PlanError(
            f"plan has {name}={given[name]}, must be a whole number from {least} to {MOST}"
        )
    return value


def _number(given: dict[str, str], name: str) -> float | None:
    if name not in given:
        return None
    try:
        value = float(given[name])
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise PlanError(f"plan has {name}={given[name]}, must be a number above 0")
    return value


@dataclass(frozen=True, slots=True)
class Part:
    """One that may be the limit.

    Attributes:
        name: decoders, gateways, senders or wire. unit: of what there is of it.
        there: how much there is; None where the plan leaves it open.
        a_picture: how much of it a picture takes for a second; None where that was not measured.
        needed: how much of it is busy at the plan's rate; None where no rate is known.
    """

    name: str
    unit: str
    there: float | None
    a_picture: float | None
    needed: float | None

    @property
    def limit(self) -> float | None:
        """Pictures a second that it lets through at most; None where that is open."""
        if self.there is None or self.a_picture is None:
            return None
        return self.there / self.a_picture


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a plan comes to.

    Attributes:
        rate: pictures a second; None where a part that all of them pass was not measured.
        limited_by: the name of the part with the lowest limit.
    """

    plan: Plan
    times: ServiceTimes
    rate: float | None
    limited_by: str | None
    parts: Sequence[Part]


def capacity(plan: Plan, times: ServiceTimes) -> Capacity:
    """What a plan comes to with these service times."""
    if plan.cpus:
        decode: float | None = times.decode
    else:
        decode = 1 / plan.gpu_rate if plan.gpu_rate else None
    open_ = [
        Part("decoders", "CPUs" if plan.cpus else "GPUs", plan.decoders, decode, None),
        Part("gateways", "cores", plan.gateways, times.gateway, None),
        Part("senders", "CPUs", plan.sender_cpus, times.send, None),
        Part("wire", "Mbit/s", plan.mbit and plan.gateways * plan.mbit, 8e-6 * times.bytes, None),
    ]
    limits = {part.name: part.limit for part in open_ if part.limit is not None}
    if decode is None:
        return Capacity(plan, times, None, None, open_)
    round_ = Demands(alone=decode, gateway=times.gateway, machine=0.0)
    rate = min(round_.rate(plan.decoders, plan.gateways), *limits.values())
    parts = [
        Part(one.name, one.unit, one.there, one.a_picture, rate * (one.a_picture or 0.0))
        for one in open_
    ]
    return Capacity(plan, times, rate, min(limits, key=limits.__getitem__), parts)
