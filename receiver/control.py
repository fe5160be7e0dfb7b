"""The control service: capabilities, and sessions opened, shown and closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from receiver.channels import abort
from receiver.pipeline import Pipeline
from receiver.refusals import Refusal, Scope
from receiver.registry import Registry, check_channel
from receiver.states import Scene
from receiver.tallies import Tallies
from shared.wire.errors import WireError
from shared.wire.security import Principal
from shared.wire.v1 import control_pb2, control_pb2_grpc, types_pb2

__all__ = ["ControlServicer"]

Context = grpc.aio.ServicerContext[Any, Any]
Response = TypeVar("Response")


class ControlServicer(control_pb2_grpc.ControlServiceServicer):
    """Served on every address.

    Args:
        tallies: what has ended so far.
        endpoints: host:port of the picture and the caption channel as others reach them; may be empty.
    """

    def __init__(
        self,
        registry: Registry,
        pipeline: Pipeline,
        tallies: Tallies,
        server: str,
        endpoints: tuple[str, str],
        authenticate: Callable[[Context], Principal],
    ) -> None:
        self._registry = registry
        self._observer = pipeline.observer
        self._scene = Scene(registry, pipeline, tallies, server)
        self._server = server
        self._endpoints = endpoints
        self._authenticate = authenticate

    async def _answer(
        self, context: Context, answer: Callable[[Principal], Awaitable[Response]]
    ) -> Response:
        try:
            return await answer(self._authenticate(context))
        except WireError as error:
            self._observer.refused(Refusal.of(error, Scope.CALL))
            return await abort(context, error)

    async def GetCapabilities(  # noqa: N802
        self, request: control_pb2.GetCapabilitiesRequest, context: Context
    ) -> control_pb2.GetCapabilitiesResponse:
        async def answer(caller: Principal) -> control_pb2.GetCapabilitiesResponse:
            terms = self._registry.terms
            return control_pb2.GetCapabilitiesResponse(
                server=self._server, codecs=terms.codecs, limits=terms.limits.to_message()
            )

        return await self._answer(context, answer)

    async def OpenSession(  # noqa: N802
        self, request: control_pb2.OpenSessionRequest, context: Context
    ) -> control_pb2.OpenSessionResponse:
        async def answer(caller: Principal) -> control_pb2.OpenSessionResponse:
            session = await self._registry.open(request, caller.sender())
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
        async def answer(caller: Principal) -> control_pb2.GetSessionResponse:
            sender = None if caller.operator else caller.name
            session = self._registry.find(request.session_id, sender)
            return control_pb2.GetSessionResponse(session=self._scene.session(session))

        return await self._answer(context, answer)

    async def ListSessions(  # noqa: N802
        self, request: control_pb2.ListSessionsRequest, context: Context
    ) -> control_pb2.ListSessionsResponse:
        async def answer(caller: Principal) -> control_pb2.ListSessionsResponse:
            return self._scene.seen_by(caller, with_ended=request.with_ended)

        return await self._answer(context, answer)

    async def CloseSession(  # noqa: N802
        self, request: control_pb2.CloseSessionRequest, context: Context
    ) -> control_pb2.CloseSessionResponse:
        async def answer(caller: Principal) -> control_pb2.CloseSessionResponse:
            session = self._registry.find(request.session_id, caller.sender())
            check_channel(request.channel)
            captions = request.channel == types_pb2.CHANNEL_CAPTIONS
            flow = session.captions if captions else session.images
            flow.closed = True
            return control_pb2.CloseSessionResponse(all_ended=flow.held == 0)

        return await self._answer(context, answer)
