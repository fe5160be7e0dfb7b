"""One benchmark from its options to its report."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cluster.actors.remote import decoders_stop
from cluster.actors.room import Room
from cluster.actors.runtime import ClusterError, connected
from cluster.bench.baseline import changes, read_baseline
from cluster.bench.feed import BenchFeed, prepare_feed
from cluster.bench.kodak import PeerQuality
from cluster.bench.options import BenchOptions, Slo
from cluster.bench.peer import PeerSpeed, peer_speed
from cluster.bench.point import Ground, Measured, measure_point, pictures_at_least
from cluster.bench.provenance import provenance
from cluster.bench.report import Report, write_report
from cluster.bench.result import BenchResult
from cluster.bench.rows import FrameRow
from cluster.bench.summary import Point, summarise
from cluster.progress import Meter
from shared.errors import SidewireError, WorkLeftError

__all__ = ["run_bench"]

T = TypeVar("T")


def run_bench(options: BenchOptions, meter: Meter) -> Report:
    """The command: measure, and write the report to its folder.

    Args:
        meter: is told how far it is.

    Raises:
        SidewireError: the feed, the baseline or the report's folder cannot be used, or a part cannot work.
        WorkLeftError: it was stopped; the report has the repeats that were done.
    """
    logging.basicConfig(format="sidewire: %(message)s", level=logging.ERROR)
    earlier = read_baseline(options.baseline) if options.baseline else None
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SidewireError(f"cannot write a report to {options.out}: {error.strerror}") from None
    found, stopped = Found(), False
    with tempfile.TemporaryDirectory(prefix="sidewire-bench-") as folder:
        try:
            _measure(options, Path(folder), meter, found)
        except (KeyboardInterrupt, asyncio.CancelledError):
            stopped = True
    if not found.points:
        raise WorkLeftError("stopped before anything was measured; there is no report")
    quality = _quality(options.codec) if found.peer else None
    known = provenance(found.models)
    result = BenchResult.of(found.points, found.peer, quality, options, known)
    report = Report(result, found.rows, changes(earlier, result.points) if earlier else ())
    write_report(options.out, report)
    if stopped:
        raise WorkLeftError(f"stopped; {options.out} has what was measured before")
    return report


@dataclass
class Found:
    """What is known so far."""

    points: list[Point] = field(default_factory=list)
    rows: list[FrameRow] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)
    peer: PeerSpeed | None = None

    def add(self, decoders: int, measured: Measured, slo: Slo) -> None:
        """A number of decoders, with as many repeats as there are."""
        single = (self.points[0].decoders, self.points[0].achieved.value) if self.points else None
        self.points.append(summarise(decoders, measured.repeats, slo, single, measured.spread))
        self.rows += [row for repeat in measured.repeats for row in repeat.rows]
        self.models |= measured.models


def _measure(options: BenchOptions, folder: Path, meter: Meter, found: Found) -> None:
    feed = prepare_feed(options, folder)
    meter.begin("measuring", len(options.decoders) * pictures_at_least(options, feed))
    for decoders in options.decoders:
        measured = Measured()
        try:
            _point(Ground(options, decoders, feed, folder / str(decoders), meter), measured)
        finally:
            if measured.repeats:
                found.add(decoders, measured, options.slo)
    found.peer = _peer(options, feed, meter)


def _point(ground: Ground, measured: Measured) -> None:
    address = ground.options.ray_address
    namespace = f"sidewire-bench-{os.getpid()}-{ground.decoders}"
    if ground.options.decoder != "ray":
        _run(measure_point(ground, namespace, measured))
        return
    # One that is started here may have more decoders than cores: that is worth measuring, too.
    cpus = max(ground.decoders, len(os.sched_getaffinity(0)))
    try:
        with connected(address, namespace, cpus):
            Room.now(0.0).check(ground.decoders)  # a receiver would begin with fewer
            _run(measure_point(ground, namespace, measured))
    finally:
        if address:
            with suppress(ClusterError):  # there are none where the cluster has no room for them
                decoders_stop(address, namespace)


def _peer(options: BenchOptions, feed: BenchFeed, meter: Meter) -> PeerSpeed | None:
    if not options.references or options.codec == "sealed":
        return None
    meter.say("comparing with CompressAI")
    return _run(peer_speed(options.codec, options.quality, feed.path))


def _quality(codec: str) -> PeerQuality | None:
    # It reads a bundle and brings torch, which nothing else in this process needs.
    from cluster.bench.peer_quality import peer_quality  # noqa: PLC0415

    return peer_quality(codec)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run work in a loop of its own, which SIGTERM ends in order."""

    async def until_told() -> T:
        this = asyncio.current_task()
        assert this is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        return await work

    return asyncio.run(until_told())
