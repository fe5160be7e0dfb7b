"""``sidewire status``: what a receiver's streams and decoders are doing, asked over the wire."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import nullcontext, suppress
from typing import Any

import grpc
from rich.console import Console
from rich.live import Live

from cluster.status_table import as_table
from sender.settings import StatusSettings
from shared.errors import SidewireError
from shared.wire.channels import DELIVERY_BYTES, client_channel
from shared.wire.diagnosis import diagnosed
from shared.wire.v1 import control_pb2, control_pb2_grpc, types_pb2

__all__ = ["show_status"]

CALL_SECONDS = 5.0
#: Seconds between two looks of ``--watch``.
LOOK_SECONDS = 1.0
#: Columns where there is no terminal: nothing is folded for a file or a pipe.
UNBOUNDED = 1000


async def _ask(
    channel: grpc.aio.Channel, settings: StatusSettings
) -> control_pb2.ListSessionsResponse:
    """The receiver's answer.

    Raises:
        SidewireError: there is none, and why.
    """
    control = control_pb2_grpc.ControlServiceStub(channel)
    request = control_pb2.ListSessionsRequest(with_ended=True)
    try:
        answer: control_pb2.ListSessionsResponse = await control.ListSessions(
            request, timeout=CALL_SECONDS
        )
    except grpc.aio.AioRpcError as error:
        why = ""
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            why = await diagnosed(settings.images, settings.security())
        why = why or f"{error.code().name}: {error.details()}"
        raise SidewireError(f"no answer from {settings.images}: {why}") from None
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


def _stream(state: control_pb2.Session) -> dict[str, Any]:
    names = types_pb2.Disposition.Name
    ends = {
        names(one.disposition).removeprefix("DISPOSITION_").lower(): {
            "frames": one.frames,
            "captions": one.captions,
        }
        for one in state.tallies
    }
    return {
        "stream": state.stream_id,
        "sender": state.sender,
        "epoch": state.epoch,
        "session": state.session_id,
        "images": _channel(state.images),
        "captions": _channel(state.captions),
        "ends": ends,
        "frames_per_second": state.frames_per_second,
        "captions_per_second": state.captions_per_second,
    }


def as_json(answer: control_pb2.ListSessionsResponse) -> str:
    """One object for programs, with all that the answer says."""
    return json.dumps(
        {
            "server": answer.server,
            "up_seconds": answer.up_seconds,
            "sessions": [_stream(one) for one in answer.sessions],
            "ended": [_stream(one) for one in answer.ended],
            "ended_streams": answer.ended_streams,
            "decode_queue": answer.decode_queue,
            "decoders": {
                "wanted": answer.decoders.wanted,
                "alive": answer.decoders.alive,
                "decoding": answer.decoders.decoding,
            },
            "trouble": answer.trouble,
        }
    )


async def _show(settings: StatusSettings, *, as_objects: bool, watch: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else UNBOUNDED)
    channel = client_channel(settings.images, settings.security(), response_bytes=DELIVERY_BYTES)
    on_screen = watch and not as_objects and console.is_terminal
    live = Live(console=console, auto_refresh=False) if on_screen else None
    async with channel:
        answer = await _ask(channel, settings)
        problem = ""
        with live or nullcontext():
            while True:
                if as_objects:
                    print(as_json(answer) if not problem else json.dumps({"problem": problem}))
                    sys.stdout.flush()
                elif live is not None:
                    live.update(as_table(answer, problem), refresh=True)
                else:
                    console.print(as_table(answer, problem))
                if not watch:
                    return
                await asyncio.sleep(LOOK_SECONDS)
                problem = ""
                try:
                    answer = await _ask(channel, settings)
                except SidewireError as error:
                    problem = str(error)  # it may be back in a moment


def show_status(settings: StatusSettings, *, json: bool = False, watch: bool = False) -> None:
    """Print it, once or every second until Ctrl-C.

    Raises:
        SidewireError: no receiver answers, at the first time.
    """
    with suppress(KeyboardInterrupt):
        asyncio.run(_show(settings, as_objects=json, watch=watch))
