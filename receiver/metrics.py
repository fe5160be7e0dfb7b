"""What a receiver counts, for Prometheus; docs/operations.md says what each number is good for.

No metric has a stream or a sender among its labels: clients choose those, and each would be a time series
for ever.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric

from receiver.gateway import Gateway
from receiver.observer import Observer
from receiver.refusals import Refusal
from receiver.tallies import disposition_name
from receiver.ways import Way
from receiver.work import DecodeTask, End

__all__ = ["ReceiverMetrics"]

SECONDS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class ReceiverMetrics(Observer):
    """The metrics of one receiver; they begin at zero with it.

    Args:
        version: of the program.
    """

    def __init__(self, version: str) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Info("sidewire_build", "The program.", registry=registry).info({"version": version})
        self._taken = Counter(
            "sidewire_received_messages",
            "Pictures, skips and captions that came, refused ones too.",
            ("channel",),
            registry=registry,
        )
        self._taken_bytes = Counter(
            "sidewire_received_bytes",
            "Bytes of their containers and texts.",
            ("channel",),
            registry=registry,
        )
        self._refused = Counter(
            "sidewire_refused",
            "Connections, calls and messages that were turned away.",
            ("kind", "scope"),
            registry=registry,
        )
        self._ends = Counter(
            "sidewire_ended",
            "Frames and captions whose end is durable, by how they ended.",
            ("what", "disposition"),
            registry=registry,
        )
        self._join_wait = self._seconds(
            "sidewire_join_wait_seconds",
            "From a picture's arrival to its first way to the decoders: the wait for its caption.",
        )
        self._queue_wait = self._seconds(
            "sidewire_queue_wait_seconds", "From there until a decoder takes it."
        )
        self._decode = self._seconds(
            "sidewire_decode_seconds", "From giving a batch to a decoder until its answer."
        )
        self._batch = Histogram(
            "sidewire_batch_pictures", "Pictures in a batch.", buckets=SIZES, registry=registry
        )
        self._commit = self._seconds(
            "sidewire_commit_seconds", "Writing outputs and ledger, for one transaction."
        )
        self._commit_ends = Histogram(
            "sidewire_commit_ends", "Ends in a transaction.", buckets=SIZES, registry=registry
        )
        self._whole = self._seconds(
            "sidewire_frame_seconds", "From a picture's arrival until its first end is durable."
        )
        for channel in (
            "images",
            "captions",
        ):  # a counter that appears with its first event has no rate
            self._taken.labels(channel)
            self._taken_bytes.labels(channel)
        #: When a batch went to its decoder, by the identity of its list of tasks.
        self._decoding_since: dict[int, float] = {}

    def _seconds(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=SECONDS, registry=self._registry)

    def look_at(self, gateway: Gateway) -> None:
        """Show what this gateway holds, as it is whenever somebody asks."""
        self._registry.register(Now(gateway))

    def text(self) -> bytes:
        """All metrics as Prometheus reads them."""
        return generate_latest(self._registry)

    def taken(self, channel: str, size: int) -> None:
        """See :class:`Observer`."""
        self._taken.labels(channel).inc()
        self._taken_bytes.labels(channel).inc(size)

    def refused(self, refusal: Refusal) -> None:
        """See :class:`Observer`."""
        self._refused.labels(refusal.kind.value.lower(), refusal.scope.value).inc()

    def joined(self, seconds: float) -> None:
        """See :class:`Observer`."""
        self._join_wait.observe(max(0.0, seconds))

    def decoding(self, tasks: Sequence[DecodeTask]) -> None:
        """See :class:`Observer`."""
        self._decoding_since[id(tasks)] = time.monotonic()

    def decoded(self, tasks: Sequence[DecodeTask]) -> None:
        """See :class:`Observer`."""
        now = time.monotonic()
        self._decode.observe(now - self._decoding_since.pop(id(tasks), now))
        self._batch.observe(len(tasks))

    def stored(self, ends: int, seconds: float) -> None:
        """See :class:`Observer`."""
        self._commit.observe(seconds)
        self._commit_ends.observe(ends)

    def ended(self, end: End) -> None:
        """See :class:`Observer`."""
        name = disposition_name(end.disposition)
        if end.frame_ended:
            self._ends.labels("frame", name).inc()
        if end.caption_ended:
            self._ends.labels("caption", name).inc()

    def gone(self, end: End, way: Way) -> None:
        """A decode has ended; see :class:`receiver.ways.Ways`."""
        if way.decoding is not None and end.revision == way.revision:
            self._queue_wait.observe(way.decoding - way.waiting)
        if end.frame_ended and way.arrived is not None:
            self._whole.observe(max(0.0, way.durable - way.arrived))


class Now:
    """What a gateway holds at the moment of the question; a collector of prometheus_client."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        gateway = self._gateway
        pipeline, pool = gateway.pipeline, gateway.pipeline.pool
        for name, text, value in (
            (
                "serving",
                "1 while senders are served, as gRPC's health service says.",
                gateway.serving,
            ),
            ("trouble", "1 while nothing is acked.", bool(pipeline.trouble)),
            ("decode_queue", "Decodes that wait for a decoder.", pipeline.queue),
            ("decodes_in_progress", "Decodes that decoders are at.", pipeline.decoding),
            ("decoders", "Decoders that there are to be.", pool.width),
            ("decoders_alive", "Decoders that live.", pool.alive),
            ("streams_open", "Streams that are open.", sum(1 for _ in gateway.registry)),
        ):
            yield GaugeMetricFamily(f"sidewire_{name}", text, float(value))
        attached = GaugeMetricFamily("sidewire_clients", "Clients attached.", labels=["channel"])
        held = GaugeMetricFamily("sidewire_held", "Messages in memory.", labels=["channel"])
        size = GaugeMetricFamily("sidewire_held_bytes", "And their bytes.", labels=["channel"])
        for channel in ("images", "captions"):
            flows = [getattr(session, channel) for session in gateway.registry]
            attached.add_metric([channel], sum(flow.attached for flow in flows))
            held.add_metric([channel], sum(flow.held for flow in flows))
            size.add_metric([channel], sum(flow.held_bytes for flow in flows))
        yield from (attached, held, size)
