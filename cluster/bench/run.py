"""One benchmark from its options to its report."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from cluster.actors.remote import decoders_stop
from cluster.actors.runtime import ClusterError, connected
from cluster.bench.baseline import changes, read_baseline
from cluster.bench.feed import BenchFeed, prepare_feed
from cluster.bench.options import BenchOptions
from cluster.bench.peer import PeerSpeed, peer_speed
from cluster.bench.point import Ground, Measured, measure_point
from cluster.bench.provenance import provenance
from cluster.bench.report import Report, write_report
from cluster.bench.result import BenchResult
from cluster.bench.rows import FrameRow
from cluster.bench.summary import Point, summarise
from shared.errors import SidewireError, WorkLeftError

__all__ = ["run_bench"]

T = TypeVar("T")


def run_bench(options: BenchOptions, say: Callable[[str], None]) -> Report:
    """The command: measure, and write the report to its folder.

    Args:
        say: prints a line.

    Raises:
        SidewireError: the feed, the baseline or the report's folder cannot be used, or a part cannot work.
        WorkLeftError: it was stopped.
    """
    logging.basicConfig(format="sidewire: %(message)s", level=logging.ERROR)
    earlier = read_baseline(options.baseline) if options.baseline else None
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SidewireError(f"cannot write a report to {options.out}: {error.strerror}") from None
    try:
        with tempfile.TemporaryDirectory(prefix="sidewire-bench-") as folder:
            result, rows = _measured(options, Path(folder), say)
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise WorkLeftError("stopped before all was measured; there is no report") from None
    report = Report(result, rows, changes(earlier, result.points) if earlier else ())
    write_report(options.out, report)
    return report


def _measured(
    options: BenchOptions, folder: Path, say: Callable[[str], None]
) -> tuple[BenchResult, Sequence[FrameRow]]:
    feed = prepare_feed(options, folder)
    points: list[Point] = []
    rows: list[FrameRow] = []
    models: dict[str, str] = {}
    for decoders in options.decoders:
        ground = Ground(options, decoders, feed, folder / str(decoders), say)
        measured = _point(ground)
        single = (points[0].decoders, points[0].achieved.value) if points else None
        points.append(summarise(decoders, measured.repeats, options.slo, single, measured.spread))
        rows += [row for repeat in measured.repeats for row in repeat.rows]
        models |= measured.models
    peer = _peer(options, feed, say)
    return BenchResult.of(points, peer, options, provenance(models)), rows


def _point(ground: Ground) -> Measured:
    address = ground.options.ray_address
    namespace = f"sidewire-bench-{os.getpid()}-{ground.decoders}"
    if ground.options.decoder != "ray":
        return _run(measure_point(ground, namespace))
    # One that is started here may have more decoders than cores: that is worth measuring, too.
    cpus = max(ground.decoders, len(os.sched_getaffinity(0)))
    try:
        with connected(address, namespace, cpus):
            return _run(measure_point(ground, namespace))
    finally:
        if address:
            with suppress(ClusterError):  # there are none where the cluster has no room for them
                decoders_stop(address, namespace)


def _peer(options: BenchOptions, feed: BenchFeed, say: Callable[[str], None]) -> PeerSpeed | None:
    if not options.references or options.codec == "sealed":
        return None
    say("comparing with CompressAI")
    return _run(peer_speed(options.codec, options.quality, feed.path))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """In a loop of its own, which SIGTERM ends in order."""

    async def until_told() -> T:
        this = asyncio.current_task()
        assert this is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        return await work

    return asyncio.run(until_told())
