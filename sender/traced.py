"""A sender's traces, where somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sender.observer import UNSEEN, SendObserver
from shared.tracing import tracing

__all__ = ["traced"]

SERVICES = {"picture": "sidewire-sender", "caption": "sidewire-captions"}


@contextmanager
def traced(
    endpoint: str, what: Literal["picture", "caption"], stream_id: str
) -> Iterator[SendObserver]:
    """An observer that traces; one that sees nothing where there is no endpoint.

    Raises:
        SidewireError: as :func:`shared.tracing.tracing`.
    """
    with tracing(endpoint, SERVICES[what]) as tracer:
        if tracer is None:
            yield UNSEEN
        else:
            from sender.traces import SendTraces  # noqa: PLC0415

            yield SendTraces(tracer, what, stream_id)
