"""``sidewire status``: what a receiver's sessions are doing, asked over the wire."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import grpc
from rich.console import Console
from rich.table import Table

from sender.settings import StatusSettings
from shared.errors import SidewireError
from shared.wire.channels import client_channel
from shared.wire.v1 import control_pb2, control_pb2_grpc

__all__ = ["show_status"]

CALL_SECONDS = 5.0


async def _ask(settings: StatusSettings) -> control_pb2.ListSessionsResponse:
    channel = client_channel(settings.images, settings.security())
    async with channel:
        control = control_pb2_grpc.ControlServiceStub(channel)
        try:
            answer: control_pb2.ListSessionsResponse = await control.ListSessions(
                control_pb2.ListSessionsRequest(), timeout=CALL_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise SidewireError(
                f"no answer from {settings.images}: {error.code().name}: {error.details()}"
            ) from None
    return answer


def _channel(state: control_pb2.ChannelState) -> dict[str, Any]:
    return {
        "attached": state.attached,
        "closed": state.closed,
        "ended_below": state.positions.cumulative,
        "ended_ranges": [[one.first, one.last] for one in state.positions.ranges],
        "credit_frames": state.granted.frames - state.used.frames,
        "credit_bytes": state.granted.bytes - state.used.bytes,
        "held": state.held,
        "held_bytes": state.held_bytes,
    }


def as_json(answer: control_pb2.ListSessionsResponse) -> str:
    """One object for programs."""
    sessions = [
        {
            "stream": one.stream_id,
            "epoch": one.epoch,
            "session": one.session_id,
            "images": _channel(one.images),
            "captions": _channel(one.captions),
        }
        for one in answer.sessions
    ]
    return json.dumps(
        {"sessions": sessions, "decode_queue": answer.decode_queue, "trouble": answer.trouble}
    )


def as_table(answer: control_pb2.ListSessionsResponse) -> Table:
    """The status as people read it: one row a channel."""
    table = Table(
        title=f"{answer.decode_queue} decodes wait" + (answer.trouble and f"; {answer.trouble}")
    )
    for name in (
        "stream",
        "epoch",
        "channel",
        "client",
        "ended below",
        "gaps",
        "held",
        "bytes",
        "credit",
    ):
        table.add_column(
            name, justify="left" if name in ("stream", "channel", "client") else "right"
        )
    for one in answer.sessions:
        for name, state in (("pictures", one.images), ("captions", one.captions)):
            client = "attached" if state.attached else "closed" if state.closed else "away"
            table.add_row(
                one.stream_id,
                str(one.epoch),
                name,
                client,
                f"{state.positions.cumulative:,}",
                str(len(state.positions.ranges)),
                f"{state.held:,}",
                f"{state.held_bytes:,}",
                f"{state.granted.frames - state.used.frames:,}",
            )
    return table


def show_status(settings: StatusSettings, *, json: bool = False, watch: bool = False) -> None:
    """Print it, once or every second.

    Raises:
        SidewireError: no receiver answers.
    """
    while True:
        answer = asyncio.run(_ask(settings))
        if json:
            print(as_json(answer), flush=True)
        else:
            Console().print(as_table(answer))
        if not watch:
            return
        time.sleep(1.0)
