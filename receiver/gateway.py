"""The gateway: grpc.aio servers, sessions, joiners, ledger and acks in one process without torch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from receiver.channels import CaptionChannel, Channel, ImageChannel
from receiver.control import ControlServicer
from receiver.ledger import Ledger
from receiver.pipeline import Pipeline
from receiver.registry import Registry, Terms
from receiver.session import Session
from receiver.tallies import Tallies
from shared.errors import SidewireError
from shared.wire.security import Principal
from shared.wire.v1 import control_pb2_grpc, delivery_pb2_grpc

__all__ = ["Gateway", "Left", "Listen"]

log = logging.getLogger("sidewire.receiver")

CONTROL = "sidewire.v1.ControlService"
IMAGES = "sidewire.v1.ImageChannelService"
CAPTIONS = "sidewire.v1.CaptionChannelService"
DELIVERIES = "sidewire.v1.DeliveryService"
#: Seconds between two looks at how far a drain is, and at whether decoding and storing work.
LOOK_SECONDS = 0.05


def plaintext() -> None:
    """No credentials."""


@dataclass(frozen=True)
class Listen:
    """Where and how a gateway listens.

    Attributes:
        images, captions: host:port; equal for one port.
        advertised: both as others reach them; empty for "where you asked".
        credentials: asked for each port; its answer is None for plaintext.
        authenticate: who calls, or WireError.
    """

    images: str
    captions: str
    authenticate: Callable[[grpc.aio.ServicerContext[Any, Any]], Principal]
    advertised: tuple[str, str] = ("", "")
    credentials: Callable[[], grpc.ServerCredentials | None] = plaintext
    options: Sequence[tuple[str, int | str]] = ()
    reflection: bool = False
    server: str = "sidewire"


@dataclass(frozen=True)
class Left:
    """What a drain leaves behind; senders still have all of it."""

    frames: int
    captions: int


@dataclass
class Door:
    """One listening server; ``address`` has the port that was given once it is built."""

    services: list[str]
    address: str
    server: grpc.aio.Server = field(init=False)


class Gateway:
    """Owns whole streams: both channels of a stream meet here.

    Args:
        delivery: the subscriber service, where the sink has one.
        tallies: what has ended so far, for who asks; counted by an observer of the pipeline.

    Attributes:
        serving: as gRPC's health service says it.
    """

    def __init__(
        self,
        listen: Listen,
        terms: Terms,
        ledger: Ledger,
        pipeline_of: Callable[[Callable[[Session], None]], Pipeline],
        delivery: delivery_pb2_grpc.DeliveryServiceServicer | None = None,
        tallies: Tallies | None = None,
    ) -> None:
        self.serving = False
        self._tallies = tallies or Tallies()
        self._listen = listen
        self._pipeline = pipeline_of(self._wake)
        self._registry = Registry(terms, ledger.streams(), self._pipeline, self._fence)
        parts = (self._registry, self._pipeline, listen.authenticate)
        self._channels: tuple[Channel, Channel] = (ImageChannel(*parts), CaptionChannel(*parts))
        self._delivery = delivery
        self._health = health.aio.HealthServicer()
        self._doors: list[Door] = []

    async def start(self) -> tuple[str, str]:
        """Listen.

        Returns:
            host:port of the picture and of the caption channel, with the ports that were given.

        Raises:
            SidewireError: an address is taken or not this machine's.
        """
        listen = self._listen
        one_port = listen.images == listen.captions and not listen.images.endswith(":0")
        deliveries = [DELIVERIES] if self._delivery is not None else []
        services = [CONTROL, IMAGES, *deliveries, *[CAPTIONS] * one_port]
        doors = [Door(services, listen.images)]
        if not one_port:
            doors.append(Door([CONTROL, CAPTIONS], listen.captions))
        for door in doors:
            self._build(door)
            self._doors.append(door)
        for door in self._doors:
            await door.server.start()
        await self._set_health(serving=True)
        return self._doors[0].address, self._doors[-1].address

    def _build(self, door: Door) -> None:
        """A server at this door, bound but not started."""
        listen = self._listen
        door.server = grpc.aio.server(options=list(listen.options))
        images, captions = self._channels
        methods = {IMAGES: ("StreamImages", images), CAPTIONS: ("StreamCaptions", captions)}
        for service, (method, channel) in methods.items():
            if service in door.services:
                door.server.add_generic_rpc_handlers((_stream_handler(service, method, channel),))
        control = ControlServicer(
            self._registry,
            self._pipeline,
            self._tallies,
            listen.server,
            listen.advertised,
            listen.authenticate,
        )
        control_pb2_grpc.add_ControlServiceServicer_to_server(control, door.server)
        if DELIVERIES in door.services:
            delivery_pb2_grpc.add_DeliveryServiceServicer_to_server(self._delivery, door.server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, door.server)
        if listen.reflection:
            names = [*door.services, health.SERVICE_NAME, reflection.SERVICE_NAME]
            reflection.enable_server_reflection(names, door.server)
        try:
            credentials = listen.credentials()
            if credentials is None:
                port = door.server.add_insecure_port(door.address)
            else:
                port = door.server.add_secure_port(door.address, credentials)
        except RuntimeError:
            raise SidewireError(f"cannot listen on {door.address}: is the address taken?") from None
        if door.address.endswith(":0"):
            door.address = f"{door.address.removesuffix('0')}{port}"

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            StorageError, SidewireError (in an ExceptionGroup): the ledger is damaged, an address or the
            decoders are gone.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pipeline.run())
            group.create_task(self._tick())
            group.create_task(self._watch_trouble())
            for door in self._doors:
                group.create_task(self._keep_open(door))

    async def _keep_open(self, door: Door) -> None:
        """Listen again where gRPC has stopped: a request whose path is no text, damaged or hostile, ends
        its loop, and with it every call."""
        while not self._registry.draining:
            try:
                # Who is cancelled in there cancels the server's loop, which then cannot be stopped in order.
                await asyncio.shield(door.server.wait_for_termination())
            except UnicodeDecodeError as error:
                log.error("%s listens again, as gRPC ended over a request: %s", door.address, error)
                await _stop(door.server)
                self._build(door)
                await door.server.start()

    async def _tick(self) -> None:
        """Time for the joiners."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS / 2)
            for session in list(self._registry):
                deadline = session.joiner.next_deadline()
                if deadline is not None and deadline <= loop.time():
                    self._pipeline.perform(session, session.joiner.poll(loop.time()))
            self._registry.sweep(loop.time())

    async def _watch_trouble(self) -> None:
        well = True
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if well != (not self._pipeline.trouble):
                well = not well
                await self._set_health(serving=well and not self._registry.draining)

    async def _set_health(self, *, serving: bool) -> None:
        self.serving = serving
        answer = health_pb2.HealthCheckResponse
        status = answer.SERVING if serving else answer.NOT_SERVING
        for name in ["", *{name for door in self._doors for name in door.services}]:
            await self._health.set(name, status)

    async def drain(self, seconds: float) -> Left:
        """Take nothing new, finish what is held as far as it is being decoded, close. ``run`` must still
        be running."""
        self._registry.draining = True
        await self._set_health(serving=False)
        for channel in self._channels:
            channel.drain()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self.left.frames and not self._pipeline.stalled and loop.time() < end:
            await asyncio.sleep(LOOK_SECONDS)
        await asyncio.sleep(LOOK_SECONDS)  # the last acks
        left = self.left
        await asyncio.gather(*(door.server.stop(grace=LOOK_SECONDS) for door in self._doors))
        return left

    async def close(self) -> None:
        """Shut what is open still, and let the storage thread finish; after :meth:`run`."""
        await asyncio.gather(*(_stop(door.server) for door in self._doors))
        self._pipeline.close()

    @property
    def registry(self) -> Registry:
        """Its streams."""
        return self._registry

    @property
    def pipeline(self) -> Pipeline:
        """What decodes and stores."""
        return self._pipeline

    @property
    def why_not(self) -> str:
        """Why it is not serving; empty while it is."""
        if self.serving:
            return ""
        if self._registry.draining:
            return "it is stopping"
        return self._pipeline.trouble or "it is starting"

    @property
    def left(self) -> Left:
        """What is in memory and has not ended."""
        frames = sum(session.images.held for session in self._registry)
        return Left(frames, sum(session.captions.held for session in self._registry))

    def _wake(self, session: Session) -> None:
        for channel in self._channels:
            channel.wake(session)

    def _fence(self, session: Session) -> None:
        for channel in self._channels:
            channel.fence(session)


async def _stop(server: grpc.aio.Server) -> None:
    """Stop a server at once. One that is not stopped when its loop ends has asked gRPC's core for the next
    call, which the core then writes to memory that Python has given to others."""
    with suppress(UnicodeDecodeError):  # what it has ended over
        await server.stop(None)


def _stream_handler(service: str, method: str, channel: Channel) -> grpc.GenericRpcHandler:
    """Requests arrive as bytes: one that cannot be parsed is refused, and does not end the stream."""
    handler: grpc.RpcMethodHandler[bytes, Message] = grpc.stream_stream_rpc_method_handler(
        channel.serve, response_serializer=lambda message: message.SerializeToString()
    )
    return grpc.method_handlers_generic_handler(service, {method: handler})
