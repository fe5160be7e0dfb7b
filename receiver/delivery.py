"""The delivery service: sends the outbox to a subscriber in order, and forgets what it is done with."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import grpc

from receiver.channels import abort
from receiver.observer import Observer
from receiver.refusals import Refusal, Scope
from receiver.sinks.subscriber import Outbox, SubscriberSink
from shared.wire.errors import Reason, WireError
from shared.wire.limits import Window
from shared.wire.security import Principal
from shared.wire.v1 import delivery_pb2_grpc
from shared.wire.v1.delivery_pb2 import SubscribeRequest, SubscribeResponse

__all__ = ["AHEAD", "DeliveryServicer"]

log = logging.getLogger("sidewire.receiver")

#: Sent ahead of what the subscriber is done with; the last delivery may go beyond the bytes.
AHEAD = Window(frames=64, bytes=8 << 20)

Context = grpc.aio.ServicerContext[Any, Any]
T = TypeVar("T")


class Subscription:
    """One subscriber: what it was sent and is not done with yet."""

    def __init__(self) -> None:
        self.sent = 0
        self.done = 0
        #: (offset, bytes), in order.
        self._ahead: deque[tuple[int, int]] = deque()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._superseded = False

    @property
    def room(self) -> Window:
        """How much more may be sent now; neither number is positive without the other being."""
        frames = AHEAD.frames - len(self._ahead)
        size = AHEAD.bytes - sum(size for _, size in self._ahead)
        return Window(frames, size) if frames > 0 and size > 0 else Window(0, 0)

    def note_sent(self, delivery: SubscribeResponse) -> None:
        """Note that a delivery is on its way."""
        self.sent = delivery.offset
        self._ahead.append((delivery.offset, delivery.ByteSize()))

    def note_done(self, offset: int) -> None:
        """The subscriber will not ask for these again.

        Raises:
            WireError: MALFORMED, it names what was not sent in this call.
        """
        if offset > self.sent:
            raise WireError(
                Reason.MALFORMED,
                f"done_offset is {offset}, the last delivery of this call was {self.sent}",
                value=offset,
                limit=self.sent,
            )
        self.done = max(self.done, offset)
        while self._ahead and self._ahead[0][0] <= offset:
            self._ahead.popleft()

    def wake(self) -> None:
        """There may be something to send, or nothing ever again. Any thread may call this."""
        self._loop.call_soon_threadsafe(self._news.set)

    def supersede(self) -> None:
        """Another subscriber has come."""
        self._superseded = True
        self.wake()

    def check(self) -> None:
        """Raise WireError once another subscriber has come."""
        if self._superseded:
            raise WireError(Reason.SUPERSEDED, "another subscriber has come")

    async def news(self) -> None:
        """Wait until there may be something to send."""
        await self._news.wait()
        self._news.clear()


class DeliveryServicer(delivery_pb2_grpc.DeliveryServiceServicer):
    """Serves one subscriber at a time; another one ends the first, which may be long gone.

    Args:
        ledger: the database whose outbox ``sink`` fills.
        authenticate: who subscribes, or WireError.
        observer: told of calls that are refused.
    """

    def __init__(
        self,
        ledger: Path,
        sink: SubscriberSink,
        authenticate: Callable[[Context], Principal],
        observer: Observer | None = None,
    ) -> None:
        self._ledger = ledger
        self._authenticate = authenticate
        self._observer = observer or Observer()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._outbox: Outbox | None = None
        self._current: Subscription | None = None
        sink.on_commit = self._wake

    async def Subscribe(  # noqa: N802
        self, request_iterator: AsyncIterator[SubscribeRequest], context: Context
    ) -> None:
        """See proto/sidewire/v1/delivery.proto."""
        subscription = Subscription()
        try:
            self._authenticate(context).sender()
            first = await anext(aiter(request_iterator), SubscribeRequest())
            subscription.note_done(first.done_offset)
            if self._current is not None:
                self._current.supersede()
            self._current = subscription
            await self._serve(subscription, request_iterator, context)
        except WireError as error:
            self._observer.refused(Refusal.of(error, Scope.CALL))
            await abort(context, error)
        finally:
            if self._current is subscription:
                self._current = None

    async def _serve(
        self,
        subscription: Subscription,
        requests: AsyncIterator[SubscribeRequest],
        context: Context,
    ) -> None:
        """Send until the subscriber closes its side, as it cannot be done with anything then."""
        reader = asyncio.create_task(self._read(subscription, requests))
        reader.add_done_callback(lambda _: subscription.wake())
        subscription.wake()
        try:
            while not reader.done():
                await subscription.news()
                await self._send(subscription, context)
            await reader
        finally:
            reader.cancel()

    async def _read(
        self, subscription: Subscription, requests: AsyncIterator[SubscribeRequest]
    ) -> None:
        async for request in requests:
            subscription.note_done(request.done_offset)
            subscription.wake()
            try:
                await self._in_thread(lambda outbox: outbox.forget(subscription.done))
            except sqlite3.OperationalError as error:
                # The next one forgets these too.
                log.warning("the outbox keeps what is done with: %s", error)

    async def _send(self, subscription: Subscription, context: Context) -> None:
        """Send all that there is and may be sent now."""
        while True:
            subscription.check()
            room = subscription.room
            if not room.frames:
                return
            found = await self._next(subscription.sent, room)
            if not found:
                return
            for delivery in found:
                subscription.check()
                subscription.note_sent(delivery)
                await context.write(delivery)

    async def _next(self, offset: int, most: Window) -> list[SubscribeResponse]:
        return await self._in_thread(lambda outbox: outbox.after(offset, most))

    def _wake(self) -> None:
        """Wake the subscription; called in the ledger's thread."""
        current = self._current
        if current is not None:
            current.wake()

    async def _in_thread(self, call: Callable[[Outbox], T]) -> T:
        def run() -> T:
            if self._outbox is None:
                self._outbox = Outbox(self._ledger)
            return call(self._outbox)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def close(self) -> None:
        """Close the connection. No call may be running."""
        if self._outbox is not None:
            self._thread.submit(self._outbox.close).result()
        self._thread.shutdown()
