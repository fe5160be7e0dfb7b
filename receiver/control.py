"""The control service: capabilities, and sessions opened, shown and closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from receiver.channels import abort
from receiver.flow import Flow
from receiver.registry import Registry, check_channel
from receiver.session import Session
from shared.wire.errors import WireError
from shared.wire.v1 import control_pb2, control_pb2_grpc, types_pb2

__all__ = ["ControlServicer"]

#: Of one channel in the state of a session: a list of many must fit into a message.
MOST_RANGES = 64

Context = grpc.aio.ServicerContext[Any, Any]
Response = TypeVar("Response")


class ControlServicer(control_pb2_grpc.ControlServiceServicer):
    """Served on every address.

    Args:
        endpoints: host:port of the picture and the caption channel as others reach them; may be empty.
        load: decodes that wait, and why nothing is acked at present.
    """

    def __init__(
        self,
        registry: Registry,
        server: str,
        endpoints: tuple[str, str],
        load: Callable[[], tuple[int, str]],
        authenticate: Callable[[Context], str],
    ) -> None:
        self._registry = registry
        self._server = server
        self._endpoints = endpoints
        self._load = load
        self._authenticate = authenticate

    async def _answer(
        self, context: Context, answer: Callable[[str], Awaitable[Response]]
    ) -> Response:
        try:
            return await answer(self._authenticate(context))
        except WireError as error:
            return await abort(context, error)

    async def GetCapabilities(  # noqa: N802
        self, request: control_pb2.GetCapabilitiesRequest, context: Context
    ) -> control_pb2.GetCapabilitiesResponse:
        async def answer(sender: str) -> control_pb2.GetCapabilitiesResponse:
            terms = self._registry.terms
            return control_pb2.GetCapabilitiesResponse(
                server=self._server, codecs=terms.codecs, limits=terms.limits.to_message()
            )

        return await self._answer(context, answer)

    async def OpenSession(  # noqa: N802
        self, request: control_pb2.OpenSessionRequest, context: Context
    ) -> control_pb2.OpenSessionResponse:
        async def answer(sender: str) -> control_pb2.OpenSessionResponse:
            session = await self._registry.open(request, sender)
            images, captions = self._endpoints
            return control_pb2.OpenSessionResponse(
                session_id=session.session_id,
                stream_id=session.stream_id,
                epoch=session.epoch,
                image_endpoint=images,
                caption_endpoint=captions,
                image_positions=session.images.positions.to_message(),
                caption_positions=session.captions.positions.to_message(),
                limits=session.limits.to_message(),
                text_used=session.text_used,
            )

        return await self._answer(context, answer)

    async def GetSession(  # noqa: N802
        self, request: control_pb2.GetSessionRequest, context: Context
    ) -> control_pb2.GetSessionResponse:
        async def answer(sender: str) -> control_pb2.GetSessionResponse:
            session = self._registry.find(request.session_id, sender)
            return control_pb2.GetSessionResponse(session=_state(session))

        return await self._answer(context, answer)

    async def ListSessions(  # noqa: N802
        self, request: control_pb2.ListSessionsRequest, context: Context
    ) -> control_pb2.ListSessionsResponse:
        async def answer(sender: str) -> control_pb2.ListSessionsResponse:
            queue, trouble = self._load()
            own = [_state(session) for session in self._registry if session.sender == sender]
            return control_pb2.ListSessionsResponse(
                sessions=own, decode_queue=queue, trouble=trouble
            )

        return await self._answer(context, answer)

    async def CloseSession(  # noqa: N802
        self, request: control_pb2.CloseSessionRequest, context: Context
    ) -> control_pb2.CloseSessionResponse:
        async def answer(sender: str) -> control_pb2.CloseSessionResponse:
            session = self._registry.find(request.session_id, sender)
            check_channel(request.channel)
            captions = request.channel == types_pb2.CHANNEL_CAPTIONS
            flow = session.captions if captions else session.images
            flow.closed = True
            return control_pb2.CloseSessionResponse(all_ended=flow.held == 0)

        return await self._answer(context, answer)


def _state(session: Session) -> control_pb2.Session:
    return control_pb2.Session(
        session_id=session.session_id,
        stream_id=session.stream_id,
        epoch=session.epoch,
        images=_channel_state(session.images),
        captions=_channel_state(session.captions),
    )


def _channel_state(flow: Flow) -> control_pb2.ChannelState:
    frames, size = flow.granted()
    return control_pb2.ChannelState(
        attached=flow.attached,
        closed=flow.closed,
        positions=_first(flow.positions.to_message()),
        granted=types_pb2.Credit(frames=frames, bytes=size),
        used=types_pb2.Credit(frames=flow.received, bytes=flow.received_bytes),
        held=flow.held,
        held_bytes=flow.held_bytes,
    )


def _first(positions: types_pb2.Positions) -> types_pb2.Positions:
    del positions.ranges[MOST_RANGES:]
    return positions
