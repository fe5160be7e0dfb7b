"""The sender that the kit plays: raw calls with the generated stubs, and nothing of ``sender``."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message import Message

from shared.bitstream.container import Container
from shared.systems.catalogue import stream_name
from shared.wire.errors import Reason, WireError
from shared.wire.v1 import caption_channel_pb2, control_pb2, control_pb2_grpc, image_channel_pb2
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.rules import Violation, require
from tests.conformance.talk import Talk, raise_status

__all__ = ["CAPTIONS", "IMAGES", "Peer", "refused"]

IMAGES, CAPTIONS = wire.CHANNEL_IMAGES, wire.CHANNEL_CAPTIONS
METHODS = {
    IMAGES: (
        "/sidewire.v1.ImageChannelService/StreamImages",
        image_channel_pb2.StreamImagesRequest,
        image_channel_pb2.StreamImagesResponse,
    ),
    CAPTIONS: (
        "/sidewire.v1.CaptionChannelService/StreamCaptions",
        caption_channel_pb2.StreamCaptionsRequest,
        caption_channel_pb2.StreamCaptionsResponse,
    ),
}
OPTIONS = [
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.max_send_message_length", 128 << 20),
    ("grpc.enable_retries", 0),
]


async def refused(call: Awaitable[object], reason: Reason) -> WireError:
    """The refusal of a call that must be refused for this reason."""
    try:
        await call
    except WireError as error:
        require(error.reason is reason, f"refused with {error.reason.name}, not {reason.name}")
        return error
    raise Violation(f"it was taken, not refused with {reason.name}")


class Peer:
    """A sender and a caption publisher.

    Args:
        images, captions: host:port of the receiver's two channels.
        containers: pictures that it decodes, at least two.
        patience: seconds to wait for anything that must come.
    """

    def __init__(
        self, images: str, captions: str, containers: Sequence[bytes], patience: float
    ) -> None:
        self.containers = containers
        self.patience = patience
        self.stream_id = f"conformance-{secrets.token_hex(8)}"
        self._addresses = {IMAGES: images, CAPTIONS: captions}
        self._channels: dict[str, grpc.aio.Channel] = {}

    def _channel(self, address: str) -> grpc.aio.Channel:
        if address not in self._channels:
            self._channels[address] = grpc.aio.insecure_channel(address, options=OPTIONS)
        return self._channels[address]

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            await channel.close()

    async def control(self, method: str, request: Message, channel: Any = IMAGES) -> Any:
        """One call of the control service.

        Raises:
            WireError: it is refused.
        """
        stub = control_pb2_grpc.ControlServiceStub(self._channel(self._addresses[channel]))
        try:
            return await getattr(stub, method)(request, timeout=self.patience)
        except grpc.aio.AioRpcError as error:
            raise_status(error.code(), error.details(), error.trailing_metadata())

    async def reads_words(self) -> bool:
        """Whether what decodes the first container reads captions, by what the receiver says of itself."""
        answer = await self.control("GetCapabilities", control_pb2.GetCapabilitiesRequest())
        name = stream_name(Container.from_bytes(self.containers[0]).header.codec_id)
        return all(one.text_encoder_id for one in answer.codecs if one.name == name)

    async def open(self, channel: Any, **fields: Any) -> control_pb2.OpenSessionResponse:
        """Open a session, of :attr:`stream_id` if no other is given."""
        fields = {"stream_id": self.stream_id, "channel": channel} | fields
        request = control_pb2.OpenSessionRequest(**fields)
        answer: control_pb2.OpenSessionResponse = await self.control(
            "OpenSession", request, request.channel or IMAGES
        )
        return answer

    async def begin(self) -> control_pb2.OpenSessionResponse:
        """A session in which nothing has been sent: a new epoch of the kit's one stream."""
        return await self.open(IMAGES)

    @asynccontextmanager
    async def attach(
        self, channel: Any, session: control_pb2.OpenSessionResponse, epoch: int | None = None
    ) -> AsyncIterator[Talk]:
        """An attached call; it is cancelled at the end."""
        async with self.call(channel, session) as talk:
            await talk.begin(session.epoch if epoch is None else epoch)
            yield talk

    @asynccontextmanager
    async def call(
        self, channel: Any, session: control_pb2.OpenSessionResponse
    ) -> AsyncIterator[Talk]:
        """A call on which nothing was said."""
        endpoint = session.image_endpoint if channel == IMAGES else session.caption_endpoint
        method, request, response = METHODS[channel]
        call = self._channel(endpoint or self._addresses[channel]).stream_stream(
            method,
            request_serializer=lambda message: message,
            response_deserializer=response.FromString,
        )()
        try:
            yield Talk(session, call, request, self.patience)
        finally:
            call.cancel()
