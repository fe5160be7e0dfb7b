"""OpenTelemetry traces, where somebody asks for them: without, nothing of it is imported and nothing is paid.

What is needed comes with the extra ``sidewire[traces]``. Further settings are OpenTelemetry's own, from the
environment: ``OTEL_TRACES_SAMPLER``, ``OTEL_RESOURCE_ATTRIBUTES``, ``OTEL_EXPORTER_OTLP_HEADERS`` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared.errors import SidewireError

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, Tracer

__all__ = ["context_of", "traceparent_of", "tracing"]

#: A collector's address.
ENDPOINT = re.compile(r"https?://[^/\s]+")
#: W3C trace context, version 00: version, trace, span, flags.
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@contextmanager
def tracing(endpoint: str, service: str) -> Iterator[Tracer | None]:
    """A tracer whose spans go to a collector while the program works; what is left is sent at the end.

    A collector that does not answer costs spans, never pictures.

    Args:
        endpoint: http://host:port, or https; empty for no traces.
        service: the program's name in traces, unless OTEL_SERVICE_NAME says another.

    Yields:
        None for no traces.

    Raises:
        SidewireError: the endpoint is none, or the extra is not installed.
    """
    if not endpoint:
        yield None
        return
    if not ENDPOINT.fullmatch(endpoint):
        raise SidewireError(f"traces is {endpoint!r}, must be like http://127.0.0.1:4317")
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise SidewireError(
            f"traces need OpenTelemetry: pip install 'sidewire[traces]' ({error})"
        ) from None
    told = Resource({"service.name": service}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=told, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer("sidewire")
    finally:
        provider.shutdown()


def traceparent_of(context: SpanContext) -> str:
    """A span's place in its trace, as it travels."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def context_of(traceparent: str) -> SpanContext | None:
    """The span that a ``traceparent`` names; None for an empty or a malformed one."""
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415

    parts = TRACEPARENT.fullmatch(traceparent)
    if parts is None:
        return None
    trace, span, flags = (int(part, 16) for part in parts.groups())
    context = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid else None
