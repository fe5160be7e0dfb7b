"""The figures of a number of decoders, worked out from its repeats. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cluster.bench.bare import BareChoice
from cluster.bench.measured import GpuUse, Repeat
from cluster.bench.options import Slo
from cluster.bench.rates import achieved, goodput, offered
from cluster.bench.repeats import mean_interval
from cluster.bench.rows import PARTS, FrameRow
from cluster.bench.workplace import BESIDE, Spread
from cluster.evaluation.bootstrap import Interval

__all__ = ["MOST_LAG_MS", "Percentiles", "Point", "summarise"]

#: Beyond this 99th percentile of its lag the load was not the one that was asked for.
MOST_LAG_MS = 20.0


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of a latency in milliseconds, over all frames that count of all repeats."""

    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float


@dataclass(frozen=True)
class Point:
    """A number of decoders under the load.

    Attributes:
        frames: that count, of all repeats.
        offered, achieved, goodput: frames a second; goodput is within the SLO.
        e2e_p50_ms, e2e_p99_ms: over repeats, each repeat's own percentile.
        latency_ms: of ``e2e`` and of each of its parts.
        bytes_a_frame: mean of containers. bpp: their bits by the pixels of their pictures.
        megabytes_per_s: of containers, 10^6 bytes.
        dispositions: of all frames, those of the warm-up too. captions: of all captions.
        batch: pictures of a decoder's batch, in the mean.
        credit_stalls, credit_stall_seconds: times in which a sender had frames ready and no credit.
        lag_p99_ms: of the load generators. valid: within :data:`MOST_LAG_MS`.
        sender_nodes: of the cluster, that senders ran on; 1 for processes of this machine.
        clock_uncertainty_ms: by which moments of senders may be wrong against the gateway's, at most, and
            with them ``send`` and ``ack``, one as much too long as the other is too short: latencies from
            end to end are by one clock. It is as of a round's begin, without what clocks drift in a
            round. 0 for processes of this machine.
        cores: of this machine that were busy in the mean, by role.
        bare_loop, bare_choice: its frames a second, and the layout that was fastest.
        efficiency_vs_bare_loop: achieved by the bare loop's rate in the same repeat.
        scaling_efficiency: T(N) / (N T(1)); of the fewest decoders where one was not measured.
    """

    decoders: int
    repeats: int
    frames: int
    offered: Interval
    achieved: Interval
    goodput: Interval
    e2e_p50_ms: Interval
    e2e_p99_ms: Interval
    latency_ms: dict[str, Percentiles]
    bytes_a_frame: float
    bpp: float
    megabytes_per_s: float
    batch: float
    dispositions: dict[str, int]
    captions: dict[str, int]
    duplicates: int
    resent: int
    failed: int
    credit_stalls: int
    credit_stall_seconds: float
    lag_p99_ms: float
    valid: bool
    sender_nodes: int
    clock_uncertainty_ms: float
    cores: dict[str, float]
    gpu: GpuUse | None
    bare_loop: Interval | None
    bare_choice: BareChoice | None
    efficiency_vs_bare_loop: Interval | None
    scaling_efficiency: float


def summarise(
    decoders: int,
    repeats: Sequence[Repeat],
    slo: Slo,
    single: tuple[int, float] | None = None,
    spread: Spread = BESIDE,
) -> Point:
    """The figures of a number of decoders.

    Args:
        single: the fewest decoders and their rate, for the scaling; None where these are they.
        spread: of the senders.
    """
    rows = [row for repeat in repeats for row in repeat.rows]
    counted = [row for row in rows if row.counts]
    stalls = [stall for repeat in repeats for stall in repeat.stalls]
    dispositions = _added(Counter(row.disposition for row in repeat.rows) for repeat in repeats)
    rates = [achieved(repeat.rows) for repeat in repeats]
    rate = mean_interval(rates)
    fewest, base = single or (decoders, rate.value)
    pixels, size = sum(row.pixels for row in counted), sum(row.bytes for row in counted)
    lag = _percentile([row.lag_ms for row in counted], 99)
    bare = [repeat.bare.frames_per_s for repeat in repeats if repeat.bare is not None]
    ratios = [ours / theirs for ours, theirs in zip(rates, bare, strict=False)]
    return Point(
        decoders=decoders,
        repeats=len(repeats),
        frames=len(counted),
        offered=mean_interval([offered(repeat.rows) for repeat in repeats]),
        achieved=rate,
        goodput=mean_interval([goodput(repeat.rows, slo) for repeat in repeats]),
        e2e_p50_ms=_percentile_interval(repeats, 50),
        e2e_p99_ms=_percentile_interval(repeats, 99),
        latency_ms=_latencies(counted),
        bytes_a_frame=size / max(1, len(counted)),
        bpp=8 * size / max(1, pixels),
        megabytes_per_s=rate.value * size / max(1, len(counted)) / 1e6,
        batch=statistics.fmean([row.batch for row in counted if row.batch] or [0]),
        dispositions=dispositions,
        captions=_added(repeat.captions for repeat in repeats),
        duplicates=dispositions.get("DUPLICATE", 0),
        resent=sum(repeat.resent for repeat in repeats),
        failed=sum(len(repeat.failed) for repeat in repeats),
        credit_stalls=len(stalls),
        credit_stall_seconds=sum(stalls),
        lag_p99_ms=lag,
        valid=lag <= MOST_LAG_MS,
        sender_nodes=spread.nodes,
        clock_uncertainty_ms=1000 * spread.clock_uncertainty,
        cores={
            role: statistics.fmean(repeat.cores[role] for repeat in repeats)
            for role in repeats[0].cores
        },
        gpu=GpuUse.over([repeat.gpu for repeat in repeats if repeat.gpu is not None]),
        bare_loop=mean_interval(bare) if bare else None,
        bare_choice=repeats[0].bare.choice if repeats[0].bare else None,
        efficiency_vs_bare_loop=mean_interval(ratios) if ratios else None,
        scaling_efficiency=rate.value * fewest / (decoders * base) if base else 0.0,
    )


def _latencies(rows: Sequence[FrameRow]) -> dict[str, Percentiles]:
    columns = {"e2e": [row.e2e_ms for row in rows]}
    columns |= {part: [row.part_ms(part) for row in rows] for part in PARTS}
    known = {
        name: [value for value in values if value is not None] for name, values in columns.items()
    }
    return {
        name: Percentiles(*np.percentile(values, [50, 90, 99, 99.9, 100]).tolist())
        for name, values in known.items()
        if values
    }


def _percentile(values: Sequence[float], share: float) -> float:
    return float(np.percentile(values, share)) if values else 0.0


def _percentile_interval(repeats: Sequence[Repeat], share: float) -> Interval:
    found = []
    for repeat in repeats:
        known = [row.e2e_ms for row in repeat.rows if row.counts and row.e2e_ms is not None]
        if known:
            found.append(_percentile(known, share))
    return mean_interval(found)


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))
