"""What receivers on Ray count, at Ray's Prometheus endpoint of each node (names begin with ``ray_``)."""

from __future__ import annotations

from ray.util.metrics import Counter, Gauge, Histogram

from receiver.decoders.batches import Results
from receiver.observer import Observer
from receiver.work import DecodeFailure, End
from shared.wire.v1.types_pb2 import Disposition

__all__ = ["DecoderMetrics", "GatewayMetrics"]

SECONDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0]
BATCHES = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]


class DecoderMetrics:
    """The metrics of one decoder, in its process."""

    def __init__(self, decoder: str) -> None:
        tags = {"decoder": decoder}
        self._seconds = Histogram(
            "sidewire_decode_seconds", "Time that a batch took.", SECONDS, ("decoder",)
        )
        self._batches = Histogram(
            "sidewire_batch_pictures", "Pictures in a batch.", BATCHES, ("decoder",)
        )
        self._pictures = Counter(
            "sidewire_pictures", "Pictures that came out of decoders.", ("decoder", "outcome")
        )
        for metric in (self._seconds, self._batches, self._pictures):
            metric.set_default_tags(tags)

    def decoded(self, results: Results, seconds: float) -> None:
        """A batch is done."""
        self._seconds.observe(seconds)
        self._batches.observe(len(results))
        failed = sum(isinstance(result, DecodeFailure) for result in results)
        for outcome, count in (("failed", failed), ("decoded", len(results) - failed)):
            if count:
                self._pictures.inc(count, {"outcome": outcome})


class GatewayMetrics(Observer):
    """The metrics of one gateway.

    Args:
        gateway: its name, such as its address.
    """

    def __init__(self, gateway: str) -> None:
        self._queue = Gauge(
            "sidewire_decode_queue", "Decodes that wait for a decoder.", ("gateway",)
        )
        self._wait = Histogram(
            "sidewire_join_wait_seconds",
            "From a picture's arrival to its first way to the decoders: the wait for its caption.",
            SECONDS,
            ("gateway",),
        )
        self._ends = Counter(
            "sidewire_ended",
            "Frames and captions that ended, as acked.",
            ("gateway", "disposition"),
        )
        for metric in (self._queue, self._wait, self._ends):
            metric.set_default_tags({"gateway": gateway})

    def queued(self, waiting: int) -> None:
        """See :class:`Observer`."""
        self._queue.set(waiting)

    def joined(self, seconds: float) -> None:
        """See :class:`Observer`."""
        self._wait.observe(max(0.0, seconds))

    def ended(self, end: End) -> None:
        """See :class:`Observer`."""
        name = Disposition.Name(end.disposition).removeprefix("DISPOSITION_").lower()
        self._ends.inc(1, {"disposition": name})
