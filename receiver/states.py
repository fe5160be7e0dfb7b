"""A receiver's state as the control service tells it: streams, what ended and how, decoders."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from receiver.flow import Flow
from receiver.ledger import StreamRow
from receiver.pipeline import Pipeline
from receiver.registry import Registry
from receiver.session import Session
from receiver.tallies import Tallies, Tally
from shared.wire.positions import Positions
from shared.wire.security import Principal
from shared.wire.v1 import control_pb2, types_pb2

__all__ = ["Scene"]

#: Of one channel in the state of a session: a list of many must fit into a message.
MOST_RANGES = 64
#: Closed streams in one answer.
MOST_CLOSED = 256


class Scene:
    """What there is to see in a receiver.

    Args:
        server: the receiver's program and version.
    """

    def __init__(
        self, registry: Registry, pipeline: Pipeline, tallies: Tallies, server: str
    ) -> None:
        self._registry = registry
        self._pipeline = pipeline
        self._tallies = tallies
        self._server = server

    def seen_by(self, caller: Principal, *, with_ended: bool) -> control_pb2.ListSessionsResponse:
        """A sender's own streams, or everybody's for an operator; and how the whole receiver is.

        Args:
            with_ended: streams that are not open, too.
        """

        def visible(sender: str) -> bool:
            return caller.operator or sender == caller.name

        closed = [row for row in self._registry.closed if visible(row.sender)] if with_ended else []
        pipeline, pool = self._pipeline, self._pipeline.pool
        return control_pb2.ListSessionsResponse(
            sessions=[self.session(one) for one in self._registry if visible(one.sender)],
            decode_queue=pipeline.queue,
            trouble=pipeline.trouble,
            ended=[self._closed(row) for row in islice(closed, MOST_CLOSED)],
            ended_streams=len(closed),
            decoders=control_pb2.Decoders(
                wanted=pool.width, alive=pool.alive, decoding=pipeline.decoding
            ),
            up_seconds=int(self._tallies.now() - self._tallies.began),
            server=self._server,
        )

    def session(self, session: Session) -> control_pb2.Session:
        """An open session."""
        state = control_pb2.Session(
            session_id=session.session_id,
            stream_id=session.stream_id,
            epoch=session.epoch,
            images=_channel_state(session.images),
            captions=_channel_state(session.captions),
            sender=session.sender,
        )
        return self._counted(state)

    def _closed(self, row: StreamRow) -> control_pb2.Session:
        state = control_pb2.Session(
            session_id=row.session_id,
            stream_id=row.stream_id,
            epoch=row.epoch,
            images=control_pb2.ChannelState(positions=_first(row.images)),
            captions=control_pb2.ChannelState(positions=_first(row.captions)),
            sender=row.sender,
        )
        return self._counted(state)

    def _counted(self, state: control_pb2.Session) -> control_pb2.Session:
        tally = self._tallies.streams.get(state.stream_id)
        if tally is not None:
            now = self._tallies.now()
            state.tallies.extend(_tallies(tally))
            state.frames_per_second = tally.frame_rate.value(now)
            state.captions_per_second = tally.caption_rate.value(now)
        return state


def _tallies(tally: Tally) -> Iterator[control_pb2.Tally]:
    for disposition in sorted(tally.frames.keys() | tally.captions.keys()):
        yield control_pb2.Tally(
            disposition=disposition,
            frames=tally.frames[disposition],
            captions=tally.captions[disposition],
        )


def _channel_state(flow: Flow) -> control_pb2.ChannelState:
    frames, size = flow.granted()
    return control_pb2.ChannelState(
        attached=flow.attached,
        closed=flow.closed,
        positions=_first(flow.positions),
        granted=types_pb2.Credit(frames=frames, bytes=size),
        used=types_pb2.Credit(frames=flow.received, bytes=flow.received_bytes),
        held=flow.held,
        held_bytes=flow.held_bytes,
    )


def _first(positions: Positions) -> types_pb2.Positions:
    message = positions.to_message()
    del message.ranges[MOST_RANGES:]
    return message
