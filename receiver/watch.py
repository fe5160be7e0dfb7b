"""The eyes of a receiver's operator: refusals, totals, metrics and traces, set up together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from receiver.gateway import Gateway
from receiver.observer import Observer, Observers
from receiver.refusals import RefusalLog
from receiver.settings import ReceiveSettings
from receiver.tallies import Tallies
from receiver.totals import Totals
from receiver.ways import Ways
from shared.tracing import tracing

__all__ = ["Watch"]


class Watch:
    """What watches one receiver.

    Args:
        settings: which of the eyes are open.
        version: of the program.
        other: whoever watches besides.
        stack: closes what is opened here.

    Raises:
        SidewireError: traces are asked for, and what they need is not installed.

    Attributes:
        observer: all of them, for the pipeline.
        tallies: for the control service.
    """

    def __init__(
        self, settings: ReceiveSettings, version: str, other: Observer | None, stack: AsyncExitStack
    ) -> None:
        self._settings = settings
        self.tallies = Tallies()
        self._refusals = RefusalLog()
        eyes: list[Observer] = [self.tallies, self._refusals]
        told = []
        self._metrics = None
        if settings.metrics:
            from receiver.metrics import ReceiverMetrics  # noqa: PLC0415

            self._metrics = ReceiverMetrics(version)
            eyes.append(self._metrics)
            told.append(self._metrics.gone)
        tracer = stack.enter_context(tracing(settings.traces, "sidewire-receiver"))
        if tracer is not None:
            from receiver.traces import ReceiverTraces  # noqa: PLC0415

            told.append(ReceiverTraces(tracer).gone)
        if told:
            eyes.append(Ways(*told))
        if other is not None:
            eyes.append(other)
        self.observer = Observers(*eyes)

    @asynccontextmanager
    async def at(self, gateway: Gateway) -> AsyncIterator[str]:
        """Watch a gateway, from before it listens.

        Yields:
            Where the metrics are, as host:port; empty for nowhere.

        Raises:
            SidewireError: their address cannot be had.
        """
        async with AsyncExitStack() as stack:
            where = ""
            if self._metrics is not None:
                from receiver.monitor import monitored  # noqa: PLC0415

                pages = monitored(self._settings.metrics, self._metrics, gateway)
                where = await stack.enter_async_context(pages)
            totals = asyncio.create_task(Totals(self.tallies, self._refusals).run(gateway))
            try:
                yield where
            finally:
                totals.cancel()
                with suppress(asyncio.CancelledError):
                    await totals
