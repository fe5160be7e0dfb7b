"""Both channels at the receiver: a reader that feeds the session, a writer that acks what is durable.

What piles up for the writer (refusals, ends to be named) stops the reader of the same channel.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError, Message

from receiver.attachment import Attachment
from receiver.flow import Flow
from receiver.pipeline import Pipeline
from receiver.refusals import Refusal, Scope
from receiver.registry import Registry
from receiver.session import Compare, Session, Step
from shared.faults import reached
from shared.wire.errors import Reason, WireError
from shared.wire.security import Principal
from shared.wire.v1 import caption_channel_pb2, image_channel_pb2
from shared.wire.v1 import types_pb2 as wire

__all__ = ["CaptionChannel", "Channel", "ImageChannel", "abort"]

#: A call on which nobody has attached by then is ended.
ATTACH_SECONDS = 10.0


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: WireError) -> NoReturn:
    """End a call with a google.rpc.Status."""
    details = (("grpc-status-details-bin", error.to_status().SerializeToString()),)
    await context.abort(error.reason.code, str(error), details)
    raise error  # abort has raised by now


class Request(Protocol):
    """A message of a client, on either channel."""

    attach: wire.Attach

    def WhichOneof(self, oneof_group: str) -> str | None:  # noqa: N802 - protobuf's name
        """Name of the field that is set."""


class Channel(ABC):
    """The server side of one channel."""

    kind: str
    request: Callable[[bytes], Request]
    response: Callable[..., Message]

    def __init__(
        self,
        registry: Registry,
        pipeline: Pipeline,
        authenticate: Callable[[grpc.aio.ServicerContext[Any, Any]], Principal],
    ) -> None:
        self._registry = registry
        self._pipeline = pipeline
        self._authenticate = authenticate
        self._attachments: dict[Session, Attachment] = {}

    @abstractmethod
    def flow(self, session: Session) -> Flow:
        """This channel's credit and positions."""

    @abstractmethod
    def key(self, request: Any) -> tuple[int, int]:
        """seq and revision of a message after the attach."""

    @abstractmethod
    def steps(self, attachment: Attachment, request: Any, now: float) -> Sequence[Step]:
        """What one message after the attach leads to.

        Raises:
            WireError: it is refused, and has no end.
        """

    def refuse(
        self, attachment: Attachment, error: WireError, seq: int | None, revision: int = 0
    ) -> None:
        """Say that one message was refused, to the client and to whoever watches."""
        self._pipeline.observer.refused(Refusal.of(error, Scope.MESSAGE))
        attachment.refuse(error, seq, revision)

    def wake(self, session: Session) -> None:
        """A session's ends or credits changed."""
        attachment = self._attachments.get(session)
        if attachment is not None:
            attachment.wake()

    def fence(self, session: Session) -> None:
        """A session's epoch is over."""
        attachment = self._attachments.get(session)
        if attachment is not None:
            attachment.end(
                WireError(Reason.STALE_EPOCH, f"epoch {session.epoch} is over", epoch=session.epoch)
            )

    def drain(self) -> None:
        """Tell every client to send nothing new."""
        for attachment in self._attachments.values():
            attachment.drain()

    async def serve(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """One call of the channel's stream."""
        try:
            attachment = await self._attach(requests, self._authenticate(context).sender())
        except WireError as error:
            self._pipeline.observer.refused(Refusal.of(error, Scope.CALL))
            await abort(context, error)
        session, flow = attachment.session, attachment.flow
        reader = asyncio.create_task(self._read(attachment, requests))
        try:
            await context.write(self.response(attached=attachment.attached()))
            await self._write(attachment, context, reader)
        except WireError as error:
            self._pipeline.observer.refused(Refusal.of(error, Scope.CALL))
            await abort(context, error)
        finally:
            reader.cancel()
            flow.detach(attachment.generation)
            if self._attachments.get(session) is attachment:
                del self._attachments[session]

    async def _attach(self, requests: AsyncIterator[bytes], sender: str) -> Attachment:
        try:
            async with asyncio.timeout(ATTACH_SECONDS):
                request = self._parsed(await anext(requests, b""))
        except TimeoutError:
            request = None
        if request is None or request.WhichOneof("message") != "attach":
            raise WireError(Reason.NOT_ATTACHED, "the first message must be an attach")
        session = self._registry.find(request.attach.session_id, sender)
        if request.attach.epoch != session.epoch:
            raise WireError(
                Reason.STALE_EPOCH,
                f"epoch is {request.attach.epoch}, the stream's is {session.epoch}",
                epoch=session.epoch,
            )
        older = self._attachments.get(session)
        if older is not None:
            older.end(WireError(Reason.SUPERSEDED, "another client attached to this channel"))
        attachment = Attachment(session, self.flow(session), self._registry.admission(session))
        self._attachments[session] = attachment
        if self._registry.draining:
            attachment.drain()
        return attachment

    def _parsed(self, raw: bytes) -> Request | None:
        try:
            return self.request(raw)
        except DecodeError:
            return None

    async def _read(self, attachment: Attachment, requests: AsyncIterator[bytes]) -> None:
        async for raw in requests:
            await attachment.room()
            if not attachment.current:
                return
            await self._take(attachment, raw)
            granted = attachment.flow.granted()
            if attachment.grew_enough(*granted):
                attachment.wake()
        attachment.reading_over = True
        attachment.wake()

    async def _take(self, attachment: Attachment, raw: bytes) -> None:
        request = self._parsed(raw)
        if request is None or request.WhichOneof("message") in (None, "attach"):
            # What the client counted cannot be known; but hardly more than this.
            attachment.flow.received += 1
            attachment.flow.received_bytes += len(raw)
            problem = WireError(Reason.MALFORMED, f"{self.kind} message cannot be read")
            self.refuse(attachment, problem, None)
            return
        seq, revision = self.key(request)
        try:
            if self._registry.draining:
                raise WireError(Reason.DRAINING, "this receiver is stopping", seq=seq)
            steps = self.steps(attachment, request, time.monotonic())
            for step in steps:
                if isinstance(step, Compare):
                    await self._pipeline.compare(attachment.session, step)
                    attachment.wake()
            self._pipeline.perform(attachment.session, steps)
        except WireError as error:
            self.refuse(attachment, error, seq, revision)

    async def _write(
        self,
        attachment: Attachment,
        context: grpc.aio.ServicerContext[Any, Any],
        reader: asyncio.Task[None],
    ) -> None:
        reader.add_done_callback(lambda _: attachment.wake())
        while not attachment.done:
            await attachment.wait()
            for field, message in attachment.news():
                await context.write(self.response(**{field: message}))
            if reader.done() and not attachment.reading_over:
                if not reader.cancelled():
                    reader.result()  # a fault of ours must not look like a client that went away
                return


class ImageChannel(Channel):
    """``StreamImages``."""

    kind = "picture"
    request = image_channel_pb2.StreamImagesRequest.FromString
    response = image_channel_pb2.StreamImagesResponse

    def flow(self, session: Session) -> Flow:
        return session.images

    def key(self, request: image_channel_pb2.StreamImagesRequest) -> tuple[int, int]:
        frame = request.WhichOneof("message") == "frame"
        return request.frame.seq if frame else request.skip.seq, 0

    def steps(
        self,
        attachment: Attachment,
        request: image_channel_pb2.StreamImagesRequest,
        now: float,
    ) -> Sequence[Step]:
        session, flow, admission = attachment.session, attachment.flow, attachment.admission
        skip = request.skip if request.WhichOneof("message") == "skip" else None
        size = len(request.frame.container)
        self._pipeline.observer.taken("images", size)
        flow.take(size)
        frame = admission.skipped(skip) if skip else admission.frame(request.frame, now)
        try:
            if skip:
                admission.check_skip(frame, skip.reason)
            else:
                admission.check_frame(frame)
        except WireError as error:
            # It will never be accepted: that is its end, and the sender may forget it.
            steps = session.skip(admission.rejected_frame(frame), str(error))
            self.refuse(attachment, error, frame.key.seq)
            return steps
        if skip:
            return session.skip(frame, skip.reason)
        reached("gateway.after_receive")
        return session.frame(frame, now)


class CaptionChannel(Channel):
    """``StreamCaptions``."""

    kind = "caption"
    request = caption_channel_pb2.StreamCaptionsRequest.FromString
    response = caption_channel_pb2.StreamCaptionsResponse

    def flow(self, session: Session) -> Flow:
        return session.captions

    def key(self, request: caption_channel_pb2.StreamCaptionsRequest) -> tuple[int, int]:
        return request.caption.seq, request.caption.revision

    def steps(
        self,
        attachment: Attachment,
        request: caption_channel_pb2.StreamCaptionsRequest,
        now: float,
    ) -> Sequence[Step]:
        session, admission = attachment.session, attachment.admission
        size = len(request.caption.text.encode())
        self._pipeline.observer.taken("captions", size)
        attachment.flow.take(size)
        caption = admission.caption(request.caption, now)
        try:
            admission.check_caption(caption)
        except WireError as error:
            steps = session.reject_caption(admission.rejected_caption(caption), str(error))
            self.refuse(attachment, error, caption.key.seq, caption.revision)
            return steps
        if not session.text_used:
            return session.reject_caption(caption, "the receiver's text encoder is another")
        return session.caption(caption)
