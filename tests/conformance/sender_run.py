"""Runs a sender's command against the scripted receiver."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from shared.wire.channels import server_options
from shared.wire.v1 import (
    caption_channel_pb2_grpc,
    control_pb2,
    control_pb2_grpc,
    image_channel_pb2_grpc,
)
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.script import Script
from tests.conformance.stage import Context
from tests.conformance.transcript import LIMITS, Run

__all__ = ["observe"]

IMAGES, CAPTIONS = "{images}", "{captions}"
LAST_WORDS = 500


class Door(
    control_pb2_grpc.ControlServiceServicer,
    image_channel_pb2_grpc.ImageChannelServiceServicer,
    caption_channel_pb2_grpc.CaptionChannelServiceServicer,
):
    """All services on one address; what happens is up to the scripts.

    Attributes:
        address: host:port, known when it listens.
    """

    def __init__(self, scripts: dict[int, Script]) -> None:
        self._scripts = scripts
        self._server = grpc.aio.server(options=server_options(LIMITS))
        control_pb2_grpc.add_ControlServiceServicer_to_server(self, self._server)
        image_channel_pb2_grpc.add_ImageChannelServiceServicer_to_server(self, self._server)
        caption_channel_pb2_grpc.add_CaptionChannelServiceServicer_to_server(self, self._server)
        self.address = ""

    async def listen(self, address: str) -> str:
        """Begin; the address with its port."""
        port = self._server.add_insecure_port(address)
        self.address = f"{address.rpartition(':')[0]}:{port}"
        await self._server.start()
        return self.address

    async def close(self) -> None:
        """End all calls."""
        await self._server.stop(grace=0)

    async def GetCapabilities(  # noqa: N802
        self, request: control_pb2.GetCapabilitiesRequest, context: Context
    ) -> control_pb2.GetCapabilitiesResponse:
        return control_pb2.GetCapabilitiesResponse(server="conformance", limits=LIMITS.to_message())

    async def OpenSession(  # noqa: N802
        self, request: control_pb2.OpenSessionRequest, context: Context
    ) -> control_pb2.OpenSessionResponse | None:
        script = self._scripts.get(request.channel)
        if script is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "channel")
            return None
        return await script.open(self.address, request, context)

    async def CloseSession(  # noqa: N802
        self, request: control_pb2.CloseSessionRequest, context: Context
    ) -> control_pb2.CloseSessionResponse:
        if request.channel in self._scripts:
            self._scripts[request.channel].side.closings.append(request)
        return control_pb2.CloseSessionResponse(all_ended=True)

    async def StreamImages(  # noqa: N802
        self, request_iterator: AsyncIterator[Any], context: Context
    ) -> None:
        await self._scripts[wire.CHANNEL_IMAGES].serve(request_iterator, context)

    async def StreamCaptions(  # noqa: N802
        self, request_iterator: AsyncIterator[Any], context: Context
    ) -> None:
        await self._scripts[wire.CHANNEL_CAPTIONS].serve(request_iterator, context)


async def observe(command: Sequence[str], images: str, captions: str, patience: float) -> Run:
    """The command's whole run, through every act of the script.

    Args:
        command: its words; ``{images}`` and ``{captions}`` in them become the addresses.
        images, captions: host:port to listen on; port 0 for any.
        patience: seconds after which it is stopped.
    """
    scripts: dict[int, Script] = {}
    doors = [Door(scripts) for _ in range(3)]
    host = images.rpartition(":")[0]
    addresses = [
        await door.listen(address)
        for door, address in zip(doors, (images, captions, f"{host}:0"), strict=True)
    ]
    elsewhere = addresses[2]
    scripts[wire.CHANNEL_IMAGES] = Script(wire.CHANNEL_IMAGES, elsewhere)
    scripts[wire.CHANNEL_CAPTIONS] = Script(wire.CHANNEL_CAPTIONS, elsewhere)
    named = {
        channel: any(place in word for word in command)
        for channel, place in ((wire.CHANNEL_IMAGES, IMAGES), (wire.CHANNEL_CAPTIONS, CAPTIONS))
    }
    words = [word.replace(IMAGES, addresses[0]).replace(CAPTIONS, addresses[1]) for word in command]
    try:
        exit_code, said = await _run(words, patience)
    finally:
        for door in doors:
            await door.close()
    sides = [script.side for channel, script in scripts.items() if named[channel]]
    return Run(sides, exit_code, said)


async def _run(words: Sequence[str], patience: float) -> tuple[int | None, str]:
    """Exit code, None if it had to be stopped, and the end of what it said on standard error."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    said = asyncio.create_task(process.communicate())
    try:
        _, errors = await asyncio.wait_for(asyncio.shield(said), patience)
        exit_code = process.returncode
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own group: what it started ends with it
        _, errors = await said
        exit_code = None
    return exit_code, errors.decode(errors="replace")[-LAST_WORDS:]
