"""A TCP proxy that does to connections what networks do: delay, throttle, cut up, damage, stall, reset.

It runs in a thread with a loop of its own, so that synchronous and asynchronous tests use it alike; faults
are switched while bytes flow::

    with FaultProxy("127.0.0.1", port) as proxy:
        connect(proxy.address)
        proxy.to_server = Faults(latency=0.05, flips=1e-4)
        proxy.reset()
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import Self, TypeVar

from tests.network.line import CLEAR, Faults, Line

__all__ = ["CLEAR", "FaultProxy", "Faults"]

#: SO_LINGER on, for 0 seconds: closing sends RST and drops what is unsent.
LINGER_RESET = struct.pack("ii", 1, 0)
#: Longest wait for the proxy's own thread, in seconds.
PATIENCE = 30.0

Result = TypeVar("Result")


class FaultProxy:
    """Forwards connections to ``host:port``; a context manager.

    Attributes:
        target: (host, port) that the next connection goes to.
        to_server, to_client: the faults of each direction, on all connections; assign at any time.
        port: where it listens, on 127.0.0.1; known inside the context.

    Args:
        seed: of the damage; the n-th connection's is the same in every run.
    """

    def __init__(self, host: str, port: int, seed: int = 0) -> None:
        self.target = (host, port)
        self.to_server = CLEAR
        self.to_client = CLEAR
        self.port = 0
        self._seed = seed
        self._accepted = 0
        #: What is open: a task for each connection, and its sockets' writers.
        self._open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def address(self) -> str:
        """Where it listens, as ``host:port``."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self.reset()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def reset(self) -> None:
        """Break every open connection with RST on both sides; new ones are accepted as before."""
        self._call(self._reset())

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing is forwarded meanwhile, and nothing is closed: as if the cable were out."""
        self._loop.call_soon_threadsafe(self._flowing.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._flowing.set)

    def _call(self, work: Coroutine[object, object, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _reset(self) -> None:
        tasks = list(self._open)
        for task, writers in self._open.items():
            for writer in writers:
                _send_reset(writer)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        task = self._loop.create_task(self._forward(self._accepted, reader, writers))
        self._accepted += 1
        self._open[task] = writers
        task.add_done_callback(self._open.pop)

    async def _forward(
        self, number: int, client: asyncio.StreamReader, writers: list[asyncio.StreamWriter]
    ) -> None:
        """One connection, until both directions have ended or one side is gone."""
        try:
            server, to_server = await asyncio.open_connection(*self.target)
            writers.append(to_server)
            [to_client, _] = writers
            flowing, seed = self._flowing, (self._seed, number)
            up = Line(client, to_server, lambda: self.to_server, flowing, (*seed, 0))
            down = Line(server, to_client, lambda: self.to_client, flowing, (*seed, 1))
            async with asyncio.TaskGroup() as group:
                group.create_task(up.carry())
                group.create_task(down.carry())
            for writer in writers:
                writer.close()
                await writer.wait_closed()
        except* OSError:  # no server there, or one side has reset: so does the other
            for writer in writers:
                _send_reset(writer)


def _send_reset(writer: asyncio.StreamWriter) -> None:
    if not writer.is_closing():
        linger = (socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        writer.get_extra_info("socket").setsockopt(*linger)
        writer.transport.abort()
