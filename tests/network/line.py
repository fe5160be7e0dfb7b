"""One direction of a connection: bytes go in, wait, are cut and damaged, and come out in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["CLEAR", "Faults", "Line"]

#: Read at once; and how many such chunks may be under way.
CHUNK_BYTES = 1 << 14
CHUNKS_ON_LINE = 64
#: A limited bandwidth is spent in portions of this many seconds.
PORTION_SECONDS = 0.02


@dataclass(frozen=True)
class Faults:
    """What happens to bytes in one direction.

    Attributes:
        latency: seconds that each byte is under way.
        bandwidth: bytes a second; None for no limit.
        slice_bytes: most bytes in one write; None for no limit.
        flips: probability of each byte to have one bit changed.
    """

    latency: float = 0.0
    bandwidth: float | None = None
    slice_bytes: int | None = None
    flips: float = 0.0

    @property
    def write_bytes(self) -> int:
        """Most bytes in one write."""
        portion = CHUNK_BYTES
        if self.bandwidth is not None:
            portion = min(portion, max(1, int(self.bandwidth * PORTION_SECONDS)))
        return min(portion, self.slice_bytes or portion)


CLEAR = Faults()


class Line:
    """Carries bytes from a reader to a writer.

    Args:
        faults: asked for each write, so that they may change at any time.
        flowing: while it is not set, nothing moves.
        seed: of the damage, which does not depend on how the bytes came in pieces.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        faults: Callable[[], Faults],
        flowing: asyncio.Event,
        seed: tuple[int, ...],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._faults = faults
        self._flowing = flowing
        self._hits = np.random.default_rng((*seed, 0))
        self._bits = np.random.default_rng((*seed, 1))
        #: Chunks with the time they came in; an empty one is the end.
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_ON_LINE)

    async def carry(self) -> None:
        """Carry bytes until the reader ends; the writer is then half closed.

        Raises:
            ExceptionGroup: of OSErrors; one of the two sides is gone.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._receive())
            group.create_task(self._send())

    async def _receive(self) -> None:
        now = asyncio.get_running_loop().time
        chunk = b"-"
        while chunk:
            await self._flowing.wait()
            chunk = await self._reader.read(CHUNK_BYTES)
            await self._under_way.put((now(), chunk))

    async def _send(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            came, chunk = await self._under_way.get()
            await asyncio.sleep(came + self._faults().latency - now())
            if not chunk:
                break
            await self._write(chunk)
        await self._flowing.wait()
        self._writer.write_eof()

    async def _write(self, chunk: bytes) -> None:
        start = 0
        while start < len(chunk):
            await self._flowing.wait()
            faults = self._faults()
            piece = chunk[start : start + faults.write_bytes]
            start += len(piece)
            self._writer.write(self._damaged(piece, faults.flips) if faults.flips else piece)
            await self._writer.drain()
            if faults.bandwidth is not None:
                await asyncio.sleep(len(piece) / faults.bandwidth)

    def _damaged(self, piece: bytes, flips: float) -> bytes:
        hit = self._hits.random(len(piece)) < flips
        bit = np.uint8(1) << (self._bits.random(len(piece)) * 8).astype(np.uint8)
        return (np.frombuffer(piece, np.uint8) ^ np.where(hit, bit, 0).astype(np.uint8)).tobytes()
