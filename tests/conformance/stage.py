"""One connection of a sender under test, for an act of the script to play on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc

from shared.wire.checksums import ack_crc
from shared.wire.errors import Reason, WireError
from shared.wire.positions import Positions
from shared.wire.v1 import caption_channel_pb2, image_channel_pb2
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.transcript import LIMITS, Arrival, Connection, Mark, Payload, Side

__all__ = ["Context", "Stage", "abort", "positions_of", "size_of"]

#: Seconds that a sender gets to use a small credit before it gets more.
TRICKLE_SECONDS = 0.005
#: Different messages that an act waits for.
ENOUGH = 3

Context = grpc.aio.ServicerContext[Any, Any]


async def abort(context: Context, error: WireError) -> None:
    """End a call with a reason."""
    details = (("grpc-status-details-bin", error.to_status().SerializeToString()),)
    await context.abort(error.reason.code, str(error), details)


def size_of(message: Payload) -> int:
    """What a message costs of the byte credit."""
    if isinstance(message, image_channel_pb2.ImageFrame):
        return len(message.container)
    if isinstance(message, caption_channel_pb2.Caption):
        return len(message.text.encode())
    return 0


class Stage:
    """One connection, for an act to play on."""

    def __init__(
        self, side: Side, connection: Connection, requests: AsyncIterator[Any], context: Context
    ) -> None:
        self.side = side
        self.connection = connection
        self._context = context
        images = side.channel == wire.CHANNEL_IMAGES
        self._response: Callable[..., Any] = (
            image_channel_pb2.StreamImagesResponse
            if images
            else caption_channel_pb2.StreamCaptionsResponse
        )
        self._used, self._granted = wire.Credit(), wire.Credit()
        self._arrived: asyncio.Queue[Arrival | None] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read(requests))

    def close(self) -> None:
        """Read no more."""
        self._reader.cancel()

    async def _read(self, requests: AsyncIterator[Any]) -> None:
        async for request in requests:
            kind = request.WhichOneof("message")
            message = None if kind in (None, "attach") else getattr(request, kind)
            self._used.frames += 1
            self._used.bytes += size_of(message) if message is not None else 0
            used, granted = wire.Credit(), wire.Credit()
            used.CopyFrom(self._used)
            granted.CopyFrom(self._granted)
            arrival = Arrival(message, used, granted)
            self.connection.arrivals.append(arrival)
            self._arrived.put_nowait(arrival)
        self._arrived.put_nowait(None)

    async def take(self) -> Arrival | None:
        """The next message; None when the sender has said its last."""
        return await self._arrived.get()

    async def trickled(self) -> Arrival | None:
        """The next message, for as little credit as it takes."""
        size = 1
        while True:
            await self.grant(1, size)
            try:
                return await asyncio.wait_for(self.take(), TRICKLE_SECONDS)
            except TimeoutError:
                size = min(2 * size, LIMITS.frame_bytes)

    async def take_some(self) -> set[Mark]:
        """Different messages that have not ended, as many as an act needs."""
        taken: set[Mark] = set()
        while len(taken) < ENOUGH and (arrival := await self.take()) is not None:
            taken.add(arrival.mark)
        return taken

    # What the receiver says

    async def _say(self, **message: Any) -> None:
        await self._context.write(self._response(**message))

    async def attached(self, frames: int = 0, size: int = 0) -> None:
        """All that has ended, as an ack may have been lost, and the first credit."""
        self._granted = wire.Credit(frames=frames, bytes=size)
        self.connection.ended_before = frozenset(self.side.ended)
        positions = positions_of(self.side.ended)
        await self._say(attached=wire.Attached(positions=positions, credit=self._granted))

    async def grant(self, frames: int, size: int) -> None:
        """Credit for so much beyond what was used."""
        self._granted.frames = max(self._granted.frames, self._used.frames + frames)
        self._granted.bytes = max(self._granted.bytes, self._used.bytes + size)
        await self._say(credit=self._granted)

    async def refuse(self, mark: Mark) -> None:
        """A message came damaged."""
        self.connection.refused.append(mark)
        status = WireError(Reason.CHECKSUM, "CRC32C differs", seq=mark[0]).to_status()
        await self._say(refusal=wire.Refusal(seq=mark[0], revision=mark[1], status=status))

    async def ack(self, marks: Iterable[Mark], damaged: bool = False) -> None:
        """Ends are durable; ``damaged``: the network says so, not the receiver."""
        marks = set(marks)
        claimed = self.side.ended | marks
        session = self.connection.session
        assert session is not None
        outcomes = [self._outcome(mark) for mark in sorted(marks)]
        ack = wire.Ack(positions=positions_of(claimed), outcomes=outcomes)
        ack.crc32c = ack_crc(session.stream_id, session.epoch, ack.positions, ack.outcomes)
        if damaged:
            ack.crc32c ^= 1 << 16
            self.connection.claimed |= marks
        else:
            self.connection.acked |= marks
            self.side.ended |= marks
        await self._say(ack=ack)

    def _outcome(self, mark: Mark) -> wire.Outcome:
        picture = self.side.channel == wire.CHANNEL_IMAGES
        disposition = (
            wire.DISPOSITION_DECODED_NO_TEXT if picture else wire.DISPOSITION_DECODED_WITH_TEXT
        )
        return wire.Outcome(seq=mark[0], revision=mark[1], disposition=disposition)

    async def drain(self) -> None:
        """Nothing new, please."""
        await self._say(drain=wire.Drain(frames_held=1))

    async def abort(self, error: WireError) -> None:
        """End the call with a reason."""
        await abort(self._context, error)

    async def break_off(self) -> None:
        """End the call as a lost connection does: no reason of ours."""
        await self._context.abort(grpc.StatusCode.UNAVAILABLE, "the connection is lost")


def positions_of(marks: Iterable[Mark]) -> wire.Positions:
    """The positions as acks say them."""
    positions = Positions()
    for seq, _ in marks:
        positions.add(seq)
    return positions.to_message()
