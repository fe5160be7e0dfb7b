"""One channel's connection: open the session, attach, send within credit, take acks, come back after a loss.

OpenSession --> attach --> send <--> ack ... --> all ended --> CloseSession
     ^                       |
     +---- backoff <---------+  connection lost, receiver stopping, session unknown
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, NoReturn

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status

from sender.observer import UNSEEN, SendObserver
from sender.outage import Lost, Outages, Unreachable
from sender.window import AnyItem, Ended, SendWindow
from shared.errors import SidewireError
from shared.faults import reached
from shared.wire.channels import client_channel
from shared.wire.checksums import ack_crc
from shared.wire.errors import Reason, Turn, WireError
from shared.wire.positions import Positions
from shared.wire.security import ClientSecurity
from shared.wire.v1 import control_pb2, control_pb2_grpc
from shared.wire.v1 import types_pb2 as wire

__all__ = ["Link", "Route", "Standing"]

log = logging.getLogger("sidewire.sender")

CONTROL_SECONDS = 10.0
FIRST_BACKOFF, LONGEST_BACKOFF = 0.05, 2.0

Call = grpc.aio.StreamStreamCall[Any, Any]


@dataclass(frozen=True)
class Route:
    """How to reach a receiver.

    Attributes:
        address: host:port that was given; redirects are followed from there.
        security: what connections are made with.
        stall_seconds: in which something is unacked and nothing ends before the channel is attached
            again: a message, or credit for it, may have been lost.
        give_up_seconds: without a connection; None for never.
    """

    address: str
    security: ClientSecurity
    stall_seconds: float
    give_up_seconds: float | None = None

    def connect(self, address: str) -> grpc.aio.Channel:
        """A channel to an address that a receiver has named, or to the one that was given."""
        return client_channel(address, self.security)


@dataclass(frozen=True)
class Standing:
    """What OpenSession answered."""

    stream_id: str
    epoch: int
    session_id: str
    address: str
    limits: wire.Limits
    positions: Positions


class Link(ABC, Generic[AnyItem]):
    """Sends the items of a window over one channel until all have ended."""

    #: Begins the names of its fail points.
    role: str
    channel: wire.Channel
    method: str
    response: Callable[[bytes], Any]

    def __init__(
        self,
        route: Route,
        stream_id: str,
        window: SendWindow[AnyItem],
        observer: SendObserver = UNSEEN,
    ) -> None:
        self._route = route
        self._observer = observer
        self._address = route.address
        self.stream_id = stream_id
        self.window = window
        self._changed = asyncio.Event()
        self._draining = False
        #: Items that have ended.
        self._ends = 0
        self._first_attach: float | None = None
        self._outages = Outages(route.security)
        #: Seconds from the first attach to the last end so far.
        self.seconds = 0.0
        #: Connections made, and messages sent; a resend counts again.
        self.connections = 0
        self.sent = 0

    @abstractmethod
    def request(self) -> control_pb2.OpenSessionRequest:
        """How to open the session."""

    @abstractmethod
    async def opened(self, standing: Standing) -> None:
        """A session is open; nothing has been sent in it."""

    @abstractmethod
    def message(self, item: AnyItem, standing: Standing) -> Message:
        """An item as a request."""

    @abstractmethod
    def attach_message(self, attach: wire.Attach) -> Message:
        """The first request."""

    @abstractmethod
    async def ended(self, ended: list[Ended[AnyItem]]) -> None:
        """Items are done with, durably."""

    def stale(self, error: WireError) -> None:
        """The epoch is over; raises it unless the channel can follow."""
        raise error

    def changed(self) -> None:
        """The window has something new."""
        self._changed.set()

    async def run(self) -> None:
        """Keep connected and send until everything has ended.

        Raises:
            WireError: the receiver refuses for good. SidewireError: it cannot be reached.
        """
        try:
            await self._keep_connected()
        finally:
            self._outages.close()

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        backoff, alone_since = FIRST_BACKOFF, loop.time()
        while not self.window.finished:
            connections = self.connections
            try:
                await self._connection()
            except (Lost, WireError) as error:
                if _cancelling():  # at the moment in which the connection ended
                    raise asyncio.CancelledError from None
                if self.connections > connections:
                    backoff, alone_since = FIRST_BACKOFF, loop.time()
                else:
                    self._address = self._route.address  # a redirect may have led nowhere
                if isinstance(error, WireError):
                    self._follow(error)
                patience = self._route.give_up_seconds
                if patience is not None and loop.time() - alone_since > patience:
                    why = await self._outages.explained(self._address, error)
                    raise SidewireError(
                        f"no connection to {self._address} for {patience:g} s: {why}"
                    ) from None
                if backoff == FIRST_BACKOFF:  # of this outage: the operator hears of it once
                    self._outages.warn(self._address, error)
                else:
                    log.debug("%s: %s; trying again", self._address, error)
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))
                backoff = min(LONGEST_BACKOFF, backoff * 2)

    def _follow(self, error: WireError) -> None:
        """What a refused call leads to; raises what cannot be mended by trying again."""
        self._address = self._route.address
        if error.reason is Reason.STALE_EPOCH:
            self.stale(error)
        elif error.reason is Reason.NOT_OWNER:
            self._address = error.details.get("owner", self._address)
        elif error.reason is Reason.SESSION_UNKNOWN:
            self.forget_session()
        elif error.reason.turn in (Turn.STOP, Turn.GIVE_UP):
            raise error

    def forget_session(self) -> None:
        """The receiver does not know the session that was to be resumed."""

    async def _connection(self) -> None:
        async with self._route.connect(self._address) as channel:
            try:
                standing = await self._open(channel)
                address = standing.address
                if address and address != self._address:
                    self._address = address
                    async with self._route.connect(address) as other:
                        await self._stream(other, standing)
                else:
                    await self._stream(channel, standing)
            except grpc.aio.AioRpcError as error:
                _raise(error)

    async def _open(self, channel: grpc.aio.Channel) -> Standing:
        control = control_pb2_grpc.ControlServiceStub(channel)
        answer = await control.OpenSession(self.request(), timeout=CONTROL_SECONDS)
        if answer is None:
            raise Lost("the answer to OpenSession cannot be read")
        if answer.stream_id != self.stream_id:
            raise Lost(f"asked for stream {self.stream_id!r}, got {answer.stream_id!r}")
        images = self.channel == wire.CHANNEL_IMAGES
        standing = Standing(
            answer.stream_id,
            answer.epoch,
            answer.session_id,
            answer.image_endpoint if images else answer.caption_endpoint,
            answer.limits,
            _positions(answer.image_positions if images else answer.caption_positions),
        )
        await self.opened(standing)
        return standing

    async def _stream(self, channel: grpc.aio.Channel, standing: Standing) -> None:
        call: Call = channel.stream_stream(
            self.method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self.response,
        )()
        attach = wire.Attach(session_id=standing.session_id, epoch=standing.epoch)
        try:
            async with asyncio.timeout(CONTROL_SECONDS):
                await call.write(self.attach_message(attach))
                first = await _next(call)
        except TimeoutError:
            raise Lost(f"nothing heard for {CONTROL_SECONDS:g} s") from None
        if first is grpc.aio.EOF:
            await _raise_end(call)
        if first.WhichOneof("message") != "attached":
            raise Lost("the receiver did not begin with attached")
        _positions(first.attached.positions)
        self.connections += 1
        self._draining = False
        if self._first_attach is None:
            self._first_attach = time.monotonic()
        await self._over(self.window.attached(first.attached))
        try:
            async with asyncio.TaskGroup() as group:
                others = [
                    group.create_task(self._write(call, standing)),
                    group.create_task(self._watch()),
                ]
                await self._read(call, standing)
                for other in others:
                    other.cancel()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            call.cancel()
        if self.window.finished:
            await self._close(channel, standing)

    async def _over(self, ended: list[Ended[AnyItem]]) -> None:
        self._ends += len(ended)
        await self.ended(ended)

    async def _watch(self) -> None:
        """Wait until something has been unacked for too long without anything that ended."""
        seconds = self._route.stall_seconds
        while True:
            ends, waiting = self._ends, len(self.window) > 0
            await asyncio.sleep(seconds)
            if waiting and ends == self._ends:
                raise Lost(f"nothing ended for {seconds:g} s")

    async def _write(self, call: Call, standing: Standing) -> None:
        # Where the call is over, the reader hears why.
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._send(call, standing)

    async def _send(self, call: Call, standing: Standing) -> None:
        loop = asyncio.get_running_loop()
        starved_at: float | None = None
        while True:
            item = None if self._draining else self.window.next(loop.time())
            if item is not None:
                if starved_at is not None:
                    self._observer.stalled(loop.time() - starved_at)
                    starved_at = None
                reached(f"{self.role}.before_send")
                await call.write(self.message(item, standing))
                self.sent += 1
                self._observer.sent(item.seq)
                reached(f"{self.role}.after_send")
                continue
            if self.window.finished:
                await call.done_writing()
                return
            if starved_at is None and self.window.starved and not self._draining:
                starved_at = loop.time()
            again = self.window.retry_at()
            wait = None if again is None else max(0.0, again - loop.time())
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    async def _read(self, call: Call, standing: Standing) -> None:
        """Read until the receiver or the work is done."""
        while not self.window.finished:
            response = await _next(call)
            if response is grpc.aio.EOF:
                if self.window.finished:
                    return
                await _raise_end(call)
            await self._take(response, standing)
            self._changed.set()

    async def _take(self, response: Any, standing: Standing) -> None:
        kind = response.WhichOneof("message")
        if kind == "ack":
            ack = response.ack
            crc32c = ack_crc(standing.stream_id, standing.epoch, ack.positions, ack.outcomes)
            if crc32c != ack.crc32c:
                raise Lost("an ack's checksum differs")
            await self._over(self.window.ack(ack))
            self.seconds = time.monotonic() - (self._first_attach or 0.0)
        elif kind == "credit":
            self.window.credit(response.credit)
        elif kind == "refusal":
            await self._refused(response.refusal)
        elif kind == "drain":
            self._draining = True

    async def _refused(self, refusal: wire.Refusal) -> None:
        error = WireError.from_status(refusal.status)
        if error is None:
            raise Lost(f"a refusal without a reason: {refusal.status.message}")
        # What is to be sent again is part of a day's work; the rest is for the operator to see.
        again = error.reason.turn is Turn.RESEND
        log.log(logging.DEBUG if again else logging.WARNING, "refused: %s", error)
        if error.reason.turn is Turn.REOPEN:
            self._draining = True  # the receiver ends the stream when it is ready to
        elif error.reason.turn is Turn.STOP:
            raise error
        elif not refusal.HasField("seq"):
            raise Lost(f"the receiver cannot read what was sent: {error}")
        else:
            item = self.window.refusal(refusal.seq, error, asyncio.get_running_loop().time())
            if item is not None:
                await self._over([Ended(item, wire.DISPOSITION_REJECTED)])

    async def _close(self, channel: grpc.aio.Channel, standing: Standing) -> None:
        control = control_pb2_grpc.ControlServiceStub(channel)
        request = control_pb2.CloseSessionRequest(
            session_id=standing.session_id, channel=self.channel
        )
        await control.CloseSession(request, timeout=CONTROL_SECONDS)


def _cancelling() -> bool:
    """Whether this task is to end, and only something else that ended has hidden that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _next(call: Call) -> Any:
    """The receiver's next message, or EOF."""
    response = await call.read()
    if response is None:  # so gRPC says that it could not be parsed
        raise Lost("a message of the receiver cannot be read")
    return response


async def _raise_end(call: Call) -> NoReturn:
    _raise_status(await call.code(), await call.details(), await call.trailing_metadata())


def _positions(message: wire.Positions) -> Positions:
    try:
        return Positions.from_message(message)
    except SidewireError as error:
        raise Lost(str(error)) from None


def _raise(error: grpc.aio.AioRpcError) -> NoReturn:
    _raise_status(error.code(), error.details(), error.trailing_metadata())


def _raise_status(code: grpc.StatusCode, details: str | None, metadata: Any) -> NoReturn:
    """Our own error where the status carries one, else a lost connection."""
    for key, value in metadata or ():
        if key == "grpc-status-details-bin":
            with suppress(DecodeError):
                error = WireError.from_status(Status.FromString(value))
                if error is not None:
                    raise error
    kind = Unreachable if code is grpc.StatusCode.UNAVAILABLE else Lost
    raise kind(f"{code.name}: {details}")
