"""The receiver that the kit plays to a sender: it misbehaves as a network and a receiver may.

Each channel lives through the same acts, one a connection; before the first the session is refused twice.

==========  =====================================================================================
openings    the first OpenSession is sent to another address (NOT_OWNER), the second finds a
            receiver that is stopping (DRAINING)
trickle     credit for one message at a time; the first is refused CHECKSUM; lost without an ack
damage      one true ack, then one with a wrong checksum that names everything
resume      attached says that more has ended than any ack did; one ack, a drain, the end
forget      the session is gone (SESSION_UNKNOWN), and its id too
finish      all is acked as it comes, out of order
==========  =====================================================================================

A sender needs six pictures, each with a caption, to live through all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from shared.wire.errors import Reason, WireError
from shared.wire.v1 import control_pb2
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.stage import ENOUGH, Context, Stage, abort, positions_of
from tests.conformance.transcript import LIMITS, Connection, Mark, Opening, Side

__all__ = ["Script"]

#: Seconds that a sender gets to notice a damaged ack, before its call ends anyway.
HANG_UP_SECONDS = 0.5
#: Seconds without a message after which what is held is acked.
QUIET_SECONDS = 0.005
#: The epoch of a sender that has none yet: no number that it could have guessed.
EPOCH = 7


# The acts


async def trickle(stage: Stage) -> None:
    await stage.attached()
    first = await stage.trickled()
    if first is None:
        return
    await stage.refuse(first.mark)
    seen: set[Mark] = set()
    again = False
    while not (again and len(seen) >= ENOUGH):
        arrival = await stage.trickled()
        if arrival is None:
            return
        again |= arrival.mark == first.mark
        seen.add(arrival.mark)
    await stage.break_off()


async def damage(stage: Stage) -> None:
    await stage.attached(LIMITS.image_window.frames, LIMITS.image_window.bytes)
    taken = sorted(await stage.take_some())
    await stage.ack(taken[:1])
    await stage.ack(taken[1:], damaged=True)
    with contextlib.suppress(TimeoutError):
        while await asyncio.wait_for(stage.take(), HANG_UP_SECONDS) is not None:
            pass
        return
    await stage.break_off()


async def resume(stage: Stage) -> None:
    side = stage.side
    unacked = sorted({arrival.mark for _, arrival in side.arrivals} - side.ended)
    # Not the lowest: a range, not only a cumulative position.
    side.ended |= {mark for mark in unacked if mark[0] == unacked[-1][0]} if unacked else set()
    await stage.attached(LIMITS.image_window.frames, LIMITS.image_window.bytes)
    arrival = await stage.take()
    await stage.drain()
    if arrival is not None:
        await stage.ack([arrival.mark])


async def forget(stage: Stage) -> None:
    await stage.abort(WireError(Reason.SESSION_UNKNOWN, "no session of that id is open here"))


async def finish(stage: Stage) -> None:
    await stage.attached(1, LIMITS.frame_bytes)
    held: list[Mark] = []
    while True:
        try:
            arrival = await asyncio.wait_for(stage.take(), QUIET_SECONDS if held else None)
        except TimeoutError:
            await stage.ack([held.pop()])  # the newest first
            continue
        if arrival is None:
            return
        held.append(arrival.mark)
        await stage.grant(2, LIMITS.frame_bytes)


ACTS: tuple[Callable[[Stage], Awaitable[None]], ...] = (trickle, damage, resume, forget, finish)


class Script:
    """One channel's part: what becomes of each OpenSession and each call.

    Args:
        elsewhere: host:port that the first OpenSession is sent to.
    """

    def __init__(self, channel: wire.Channel, elsewhere: str) -> None:
        self.side = Side(channel)
        self._refusals = [
            WireError(Reason.NOT_OWNER, "another gateway's stream", owner=elsewhere),
            WireError(Reason.DRAINING, "this receiver is stopping"),
        ]
        self._session: control_pb2.OpenSessionResponse | None = None
        self._sessions = 0

    async def open(
        self, address: str, request: control_pb2.OpenSessionRequest, context: Context
    ) -> control_pb2.OpenSessionResponse | None:
        """One OpenSession at this address."""
        refusal = self._refusals.pop(0) if self._refusals else None
        known = self._session.session_id if self._session else ""
        if refusal is None and request.resume_session_id not in ("", known):
            refusal = WireError(Reason.SESSION_UNKNOWN, "no session of that id is known here")
        if refusal is not None:
            self.side.openings.append(Opening(address, request, refused=refusal.reason))
            await abort(context, refusal)
        if self._session is None:
            self._sessions += 1
        images = self.side.channel == wire.CHANNEL_IMAGES
        positions = positions_of(self.side.ended)
        self._session = control_pb2.OpenSessionResponse(
            session_id=f"{self.side.name}-{self._sessions}",
            stream_id=request.stream_id,
            epoch=request.epoch or EPOCH,
            image_positions=positions if images else None,
            caption_positions=None if images else positions,
            limits=LIMITS.to_message(),
            text_used=True,
        )
        self.side.openings.append(Opening(address, request, answer=self._session))
        return self._session

    async def serve(self, requests: AsyncIterator[Any], context: Context) -> None:
        """One call, through the next act."""
        request = await anext(aiter(requests), None)
        act = ACTS[min(len(self.side.connections), len(ACTS) - 1)]
        connection = Connection(
            act=act.__name__,
            first=(request.WhichOneof("message") if request is not None else "") or "",
            attach=request.attach if request is not None else wire.Attach(),
            session=self._session,
        )
        self.side.connections.append(connection)
        if act is forget:
            self._session = None
        stage = Stage(self.side, connection, requests, context)
        try:
            await act(stage)
        finally:
            stage.close()
