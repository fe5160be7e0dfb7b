"""One client on one channel: what it is to be told, as it is when there is time to tell it.

What is true is computed when the writer gets to write, not queued: a slow reader costs no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from google.protobuf.message import Message

from receiver.admission import Admission
from receiver.flow import Flow
from receiver.session import Session
from shared.wire.checksums import ack_crc
from shared.wire.errors import WireError
from shared.wire.limits import OUTCOMES_IN_ACK
from shared.wire.v1 import types_pb2 as wire

__all__ = ["Attachment"]

#: Refusals, and ends, that may wait for the writer before the reader pauses.
MOST_REFUSALS = 256
MOST_OUTCOMES = 16 * OUTCOMES_IN_ACK


class Attachment:
    """One client on one channel.

    Attributes:
        generation: of the flow, when it attached.
        reading_over: it has closed its side.
    """

    def __init__(self, session: Session, flow: Flow, admission: Admission) -> None:
        self.session = session
        self.flow = flow
        self.admission = admission
        self.generation = flow.attach()
        self.reading_over = False
        self._announced = (0, 0)
        self._refusals: list[wire.Refusal] = []
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._drain_said = False
        self._draining = False
        self._over: WireError | None = None

    def wake(self) -> None:
        """There may be something to say."""
        self._wake.set()

    def end(self, error: WireError) -> None:
        """Nothing of this client counts any more."""
        self._over = error
        self._wake.set()

    def drain(self) -> None:
        """Tell the client to send nothing new."""
        self._draining = True
        self._wake.set()

    def refuse(self, error: WireError, seq: int | None, revision: int = 0) -> None:
        """Say that one message was refused."""
        self._refusals.append(wire.Refusal(seq=seq, revision=revision, status=error.to_status()))
        self._wake.set()

    async def room(self) -> None:
        """Wait until the client has read enough of what it was told."""
        while len(self._refusals) > MOST_REFUSALS or len(self.flow.outcomes) > MOST_OUTCOMES:
            self._drained.clear()
            self._wake.set()
            await self._drained.wait()

    @property
    def current(self) -> bool:
        """Whether no other client has attached since."""
        return self.generation == self.flow.generation

    def attached(self) -> wire.Attached:
        """The receiver's first message."""
        return wire.Attached(
            positions=self.flow.positions.to_message(), credit=self._credit(*self.flow.granted())
        )

    def _credit(self, frames: int, size: int) -> wire.Credit:
        self._announced = (frames, size)
        return wire.Credit(frames=frames, bytes=size)

    def news(self) -> Iterator[tuple[str, Message]]:
        """What is to be said now, as (field of the response, message)."""
        refusals, self._refusals = self._refusals, []
        # Ends of this moment alone. One that comes up while the refusals are written may be of a
        # picture that came after a message whose refusal is not among them yet.
        due = len(self.flow.outcomes)
        for refusal in refusals:
            yield "refusal", refusal
        said = bool(refusals)
        while self.current and due and self.flow.outcomes:
            outcomes = self.flow.outcomes[: min(due, OUTCOMES_IN_ACK)]
            del self.flow.outcomes[: len(outcomes)]
            due -= len(outcomes)
            said = True
            yield "ack", self._ack(outcomes)
        granted = self.flow.granted()
        if granted != self._announced and (said or self.grew_enough(*granted)):
            yield "credit", self._credit(*granted)
        if self._draining and not self._drain_said:
            self._drain_said = True
            yield "drain", wire.Drain(frames_held=self.flow.held)
        self._drained.set()

    def grew_enough(self, frames: int, size: int) -> bool:
        """Whether so much new credit is worth a message."""
        announced_frames, announced_size = self._announced
        window = self.flow.window
        return (
            frames - announced_frames >= window.frames // 8
            or size - announced_size >= window.bytes // 8
        )

    def _ack(self, outcomes: Sequence[wire.Outcome]) -> wire.Ack:
        positions = self.flow.positions.to_message()
        crc32c = ack_crc(self.session.stream_id, self.session.epoch, positions, outcomes)
        return wire.Ack(positions=positions, outcomes=outcomes, crc32c=crc32c)

    async def wait(self) -> None:
        """Wait until there may be news.

        Raises:
            WireError: this client is over.
        """
        await self._wake.wait()
        self._wake.clear()
        if self._over is not None:
            raise self._over

    @property
    def done(self) -> bool:
        """The client will send no more, and everything it sent has ended."""
        return self.reading_over and self.flow.held == 0 and not self.flow.outcomes
