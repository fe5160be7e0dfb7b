"""Pictures and captions at their sender as OpenTelemetry spans.

picture (or caption), from its encoding to its ack: what the receiver's spans are children of
    encode
    send      from its first sending to its ack; ``sidewire.sent`` says how often it was sent
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from sender.observer import SendObserver
from shared.tracing import traceparent_of

__all__ = ["SendTraces"]

#: Spans of items that have not ended. More are on their way only where a journal is full.
MOST_OPEN = 1 << 15


@dataclass(slots=True)
class Open:
    """The spans of one item that has not ended."""

    whole: Span
    encode: Span | None = None
    send: Span | None = None
    sent: int = 0


class SendTraces(SendObserver):
    """Follows a sender's items.

    Args:
        what: "picture" or "caption".
    """

    def __init__(self, tracer: Tracer, what: str, stream_id: str) -> None:
        self._tracer = tracer
        self._what = what
        self._stream_id = stream_id
        self._open: OrderedDict[int, Open] = OrderedDict()

    def _of(self, seq: int) -> Open:
        """The item's spans; begun now for one that an earlier run has encoded, or that is not encoded."""
        found = self._open.get(seq)
        if found is None:
            attributes: dict[str, str | int] = {
                "sidewire.stream": self._stream_id,
                "sidewire.seq": seq,
            }
            found = Open(
                self._tracer.start_span(self._what, kind=SpanKind.PRODUCER, attributes=attributes)
            )
            self._open[seq] = found
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        return found

    def encoding(self, seq: int) -> None:
        """See :class:`SendObserver`."""
        spans = self._of(seq)
        spans.encode = self._child(spans, "encode")

    def encoded(self, seq: int, size: int) -> None:
        """See :class:`SendObserver`."""
        spans = self._of(seq)
        if spans.encode is not None:
            spans.encode.set_attribute("sidewire.bytes", size)
            spans.encode.end()

    def sent(self, seq: int) -> None:
        """See :class:`SendObserver`."""
        spans = self._of(seq)
        spans.sent += 1
        if spans.send is None:
            spans.send = self._child(spans, "send")

    def traceparent(self, seq: int) -> str:
        """See :class:`SendObserver`."""
        return traceparent_of(self._of(seq).whole.get_span_context())

    def ended(self, seq: int, disposition: str) -> None:
        """See :class:`SendObserver`."""
        spans = self._open.pop(seq, None)
        if spans is None:
            return
        if spans.send is not None:
            spans.send.set_attribute("sidewire.sent", spans.sent)
            spans.send.end()
        spans.whole.set_attribute("sidewire.disposition", disposition.lower())
        if disposition in ("REJECTED", "EXPIRED"):
            spans.whole.set_status(Status(StatusCode.ERROR, disposition))
        spans.whole.end()

    def _child(self, spans: Open, name: str) -> Span:
        return self._tracer.start_span(name, context=set_span_in_context(spans.whole))
