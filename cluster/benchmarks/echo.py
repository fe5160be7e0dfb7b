"""A bare grpc.aio bidirectional echo: what the same bytes cost without sessions, joins and ledgers."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import grpc

from shared.wire.channels import server_options
from shared.wire.limits import Limits

__all__ = ["echo_seconds"]

METHOD = "/bench.Echo/Echo"
#: Messages under way at once on a stream; Sidewire's own window.
WINDOW = Limits().image_window.frames
SPAWN = multiprocessing.get_context("spawn")


async def _echo(
    requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def _serve(pipe: Connection) -> None:
    server = grpc.aio.server(options=server_options(Limits()))
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),)
    )
    ports = [server.add_insecure_port("127.0.0.1:0") for _ in range(2)]
    await server.start()
    pipe.send(ports)
    await asyncio.to_thread(pipe.recv)
    await server.stop(0)


def _server(pipe: Connection) -> None:
    asyncio.run(_serve(pipe))


async def _stream(port: int, messages: Sequence[bytes], count: int, pipe: Connection) -> None:
    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        await channel.channel_ready()
        pipe.send("ready")
        pipe.recv()
        call: Any = channel.stream_stream(METHOD)()
        window = asyncio.Semaphore(WINDOW)

        async def write() -> None:
            for number in range(count):
                await window.acquire()
                await call.write(messages[number % len(messages)])
            await call.done_writing()

        writer = asyncio.create_task(write())
        for _ in range(count):
            await call.read()
            window.release()
        await writer
        pipe.send(time.monotonic())


def _client(port: int, messages: Sequence[bytes], count: int, pipe: Connection) -> None:
    asyncio.run(_stream(port, messages, count, pipe))


def echo_seconds(streams: Sequence[Sequence[bytes]], count: int) -> float:
    """Seconds until every stream has its ``count`` messages back.

    One server process with a port a stream, one client process a stream, as a picture sender and a
    caption publisher have them; messages of a stream are sent in turn.
    """
    here, there = SPAWN.Pipe()
    server = SPAWN.Process(target=_server, args=(there,))
    server.start()
    ports = here.recv()
    clients = []
    for port, messages in zip(ports, streams, strict=True):
        mine, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=_client, args=(port, messages, count, theirs))
        process.start()
        mine.recv()
        clients.append((process, mine))
    started = time.monotonic()
    for _, pipe in clients:
        pipe.send("go")
    ended = max(pipe.recv() for _, pipe in clients)
    for process, _ in clients:
        process.join()
    here.send("stop")
    server.join()
    return float(ended - started)
