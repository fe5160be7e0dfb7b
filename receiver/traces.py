"""Frames and captions at a receiver as OpenTelemetry spans, written when their end is durable.

receive (a frame; its parent is the sender's span, its link the caption's)
    join      waits for its words
    queue     waits for a decoder
    decode
    sink      output and ledger
refine (a later picture; its parent is the caption's span, its link the frame's)
    queue, decode, sink
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)

from receiver.tallies import disposition_name
from receiver.ways import Way
from receiver.work import End
from shared.tracing import context_of

__all__ = ["ReceiverTraces"]


class ReceiverTraces:
    """Writes the spans."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def gone(self, end: End, way: Way) -> None:
        """A decode has ended; see :class:`receiver.ways.Ways`."""
        if not end.frame_ended and not end.picture_made:
            return  # words that were to go with a frame that was not decoded: its span says so
        of_frame = context_of(way.frame.traceparent)
        of_words = context_of(way.caption.traceparent) if way.caption else None
        if end.frame_ended:
            name, parent, beside = "receive", of_frame, of_words
        else:
            name, parent, beside = "refine", of_words, of_frame
        offset = time.time() - time.monotonic()

        def at(moment: float) -> int:
            """Nanoseconds since 1970."""
            return int((moment + offset) * 1e9)

        span = self._tracer.start_span(
            name,
            context=_inside(parent),
            kind=SpanKind.CONSUMER,
            attributes={
                "sidewire.stream": end.key.stream_id,
                "sidewire.epoch": end.key.epoch,
                "sidewire.seq": end.key.seq,
                "sidewire.revision": end.revision,
                "sidewire.disposition": disposition_name(end.disposition),
            },
            links=[Link(beside)] if beside is not None else [],
            start_time=at(way.waiting if way.arrived is None else way.arrived),
        )
        within = set_span_in_context(span)
        for phase, begin, over in _phases(way):
            inner = self._tracer.start_span(phase, context=within, start_time=at(begin))
            inner.end(at(over))
        if not end.picture_made:
            span.set_status(Status(StatusCode.ERROR, end.reason))
        span.end(at(way.durable))


def _inside(parent: SpanContext | None) -> Context | None:
    return None if parent is None else set_span_in_context(NonRecordingSpan(parent))


def _phases(way: Way) -> Iterator[tuple[str, float, float]]:
    """What a way consists of: name, beginning, end."""
    if way.arrived is not None:
        yield "join", way.arrived, way.waiting
    yield "queue", way.waiting, way.decoding or way.durable
    if way.decoding is not None and way.decoded is not None:
        yield "decode", way.decoding, way.decoded
        yield "sink", way.decoded, way.durable
