"""One attached call on one channel of a receiver, as a sender or publisher holds it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from shared.wire.checksums import ack_crc, caption_crc, frame_crc, skip_crc
from shared.wire.errors import Reason, WireError
from shared.wire.limits import OUTCOMES_IN_ACK
from shared.wire.positions import Positions
from shared.wire.v1 import caption_channel_pb2, control_pb2, image_channel_pb2
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.rules import Violation, require

__all__ = ["Talk", "content_id", "raise_status"]

CODES = {code.value[0]: code for code in grpc.StatusCode}


def raise_status(code: grpc.StatusCode, details: str | None, metadata: Any) -> NoReturn:
    """The reason that a status carries; its code must be the reason's."""
    for key, value in metadata or ():
        if key == "grpc-status-details-bin":
            error = WireError.from_status(Status.FromString(value))
            if error is not None:
                require(error.reason.code is code, f"{error.reason.name} came with {code.name}")
                raise error
    raise Violation(f"the call ended with {code.name} and no reason: {details}")


def content_id(container: bytes) -> bytes:
    """The content id of a picture that is known by its container alone."""
    return hashlib.sha256(container).digest()[:16]


class Talk:
    """Every ack and credit is checked as it is heard.

    Args:
        request: the channel's kind of request.
        patience: seconds to wait for any response.
    """

    def __init__(
        self,
        session: control_pb2.OpenSessionResponse,
        call: Any,
        request: type[Message],
        patience: float,
    ) -> None:
        self.session = session
        self._request = request
        self._call = call
        self._patience = patience
        self.attached = wire.Attached()
        self.credit = wire.Credit()
        self.positions = Positions()
        #: In the order in which they were heard.
        self.outcomes: list[wire.Outcome] = []
        self.refusals: list[tuple[wire.Refusal, WireError]] = []

    async def begin(self, epoch: int) -> None:
        """Attach, and hear the answer."""
        attach = wire.Attach(session_id=self.session.session_id, epoch=epoch)
        await self.send(attach=attach)
        response = await self._read()
        require(
            response.WhichOneof("message") == "attached",
            f"the first response is {response.WhichOneof('message')}, not attached",
        )
        self.attached = response.attached
        self.positions = Positions.from_message(self.attached.positions)
        self.credit = self.attached.credit

    async def send(self, **message: Message) -> None:
        """One request, by the name of its field."""
        await self.send_raw(self._request(**message).SerializeToString())

    async def send_raw(self, message: bytes) -> None:
        """Bytes as they are."""
        try:
            await self._call.write(message)
        except grpc.aio.AioRpcError as error:
            raise_status(error.code(), error.details(), error.trailing_metadata())
        except asyncio.InvalidStateError:  # the call is over: why is in its status
            await self._over()

    async def _over(self) -> NoReturn:
        call = self._call
        raise_status(await call.code(), await call.details(), await call.trailing_metadata())

    async def _read(self) -> Any:
        try:
            response = await asyncio.wait_for(self._call.read(), self._patience)
        except TimeoutError:
            raise Violation(f"nothing was heard for {self._patience:g} s") from None
        except grpc.aio.AioRpcError as error:
            raise_status(error.code(), error.details(), error.trailing_metadata())
        if response is grpc.aio.EOF:
            await self._over()
        return response

    async def hear(self) -> None:
        """The next response.

        Raises:
            WireError: the receiver ended the call, for this reason. Violation: it broke a rule.
        """
        response = await self._read()
        kind = response.WhichOneof("message")
        if kind == "ack":
            self._note_ack(response.ack)
        elif kind == "credit":
            old, new = self.credit, response.credit
            fell = new.frames < old.frames or new.bytes < old.bytes
            require(not fell, f"credit fell from {old} to {new}")
            self.credit = new
        elif kind == "refusal":
            status = response.refusal.status
            error = WireError.from_status(status)
            require(error is not None, f"a refusal without a reason: {status}")
            assert error is not None
            code = CODES.get(status.code)
            require(error.reason.code is code, f"{error.reason.name} came with {code}")
            self.refusals.append((response.refusal, error))
        else:
            require(kind == "drain", f"{kind} in the middle of a stream")

    def _note_ack(self, ack: wire.Ack) -> None:
        session = self.session
        crc32c = ack_crc(session.stream_id, session.epoch, ack.positions, ack.outcomes)
        require(crc32c == ack.crc32c, f"an ack's checksum is {ack.crc32c:08x}, not {crc32c:08x}")
        positions = Positions.from_message(ack.positions)
        require(positions.cumulative >= self.positions.cumulative, "the cumulative position fell")
        require(len(ack.outcomes) <= OUTCOMES_IN_ACK, f"{len(ack.outcomes)} outcomes in one ack")
        for outcome in ack.outcomes:
            require(
                outcome.seq in positions, f"seq {outcome.seq} ended, its ack's positions say no"
            )
        self.positions = positions
        self.outcomes.extend(ack.outcomes)

    async def until(self, condition: Callable[[], object]) -> None:
        """Hear responses until the condition holds."""
        while not condition():
            await self.hear()

    async def end_of(self, seq: int, revision: int | None = None, count: int = 1) -> wire.Outcome:
        """The first (or ``count``-th) end of a number; of one revision, if that is given."""

        def found() -> list[wire.Outcome]:
            return [
                one for one in self.outcomes if one.seq == seq and revision in (None, one.revision)
            ]

        await self.until(lambda: len(found()) >= count)
        return found()[count - 1]

    async def refusal_of(self, seq: int | None, reason: Reason) -> WireError:
        """The refusal of one message, which must be for this reason."""

        def found() -> list[WireError]:
            return [
                error
                for refusal, error in self.refusals
                if (refusal.seq if refusal.HasField("seq") else None) == seq
            ]

        await self.until(found)
        error = found()[0]
        require(error.reason is reason, f"refused with {error.reason.name}, not {reason.name}")
        return error

    async def silence(self) -> WireError:
        """Hear until the receiver ends the call; its reason."""
        try:
            while True:
                await self.hear()
        except WireError as error:
            return error

    # Messages, sealed for this session

    def frame(self, seq: int, container: bytes, **fields: Any) -> image_channel_pb2.ImageFrame:
        """A picture; its content id is its container's, and it expects no caption."""
        fields = {"content_id": content_id(container), "name": f"picture-{seq}"} | fields
        message = image_channel_pb2.ImageFrame(seq=seq, container=container, **fields)
        message.crc32c = frame_crc(self.session.stream_id, self.session.epoch, message)
        return message

    def skip(self, seq: int, **fields: Any) -> image_channel_pb2.SkippedFrame:
        """A number without a picture."""
        fields = {"content_id": bytes(16), "name": f"picture-{seq}", "reason": "broken"} | fields
        message = image_channel_pb2.SkippedFrame(seq=seq, **fields)
        message.crc32c = skip_crc(self.session.stream_id, self.session.epoch, message)
        return message

    def caption(self, seq: int, text: str | None, **fields: Any) -> caption_channel_pb2.Caption:
        """Revision 1 of a picture's words, of whatever content; None for a tombstone."""
        body = (
            {"text": text} if text is not None else {"tombstone": caption_channel_pb2.Tombstone()}
        )
        fields = {"revision": 1, "language": "en"} | fields
        message = caption_channel_pb2.Caption(seq=seq, **body, **fields)
        message.crc32c = caption_crc(self.session.stream_id, self.session.epoch, message)
        return message
