"""A receiver in this process, on real sockets, for clients that may say anything (tests.conformance.peer)."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from cluster.trials.frames import frame
from receiver.decoders.interface import DecoderPool
from receiver.decoders.noop import NoOpPool
from receiver.gateway import Gateway, Listen
from receiver.ledger import Ledger
from receiver.observer import Observer
from receiver.pipeline import Pipeline
from receiver.registry import Registry, Terms
from receiver.sinks.interface import Sink
from receiver.sinks.ledger_only import LedgerOnlySink
from receiver.tallies import Tallies
from shared.bitstream.container import BITSTREAM_VERSION
from shared.wire.channels import server_options
from shared.wire.limits import Limits, Window
from shared.wire.security import Principal
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.peer import CAPTIONS, IMAGES, OPTIONS, Peer
from tests.conformance.talk import Talk
from tests.patience import PATIENCE

__all__ = [
    "CAPTIONS",
    "CODEC",
    "DECODED",
    "IMAGES",
    "SMALL",
    "Local",
    "good",
    "receiving",
]

#: What :func:`good` frames are of; a receiver here claims to decode it.
CODEC = wire.CodecId(name="base", bitstream_version=BITSTREAM_VERSION, model_id=bytes(4))
SMALL = Limits(
    frame_bytes=16 << 10,
    picture_pixels=1 << 20,
    caption_bytes=1 << 10,
    seq_window=1 << 12,
    image_window=Window(frames=64, bytes=256 << 10),
    caption_window=Window(frames=256, bytes=64 << 10),
)
DECODED = frozenset(
    {
        wire.DISPOSITION_DECODED_WITH_TEXT,
        wire.DISPOSITION_DECODED_NO_TEXT,
        wire.DISPOSITION_DECODED_TEXT_LATE,
    }
)


def good(seq: int, size: int = 200) -> bytes:
    """A container that a receiver takes."""
    return frame(seq, size).container


@dataclass
class Local:
    """A running receiver.

    Attributes:
        caller: who every call is from, from now on.
    """

    gateway: Gateway
    ledger: Ledger
    pipeline: Pipeline
    images: str
    captions: str
    callers: list[str]
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def registry(self) -> Registry:
        """The receiver's streams."""
        return self.gateway.registry

    def call_as(self, sender: str) -> None:
        """Every call from now on is this sender's."""
        self.callers[:] = [sender]

    async def peer(self, *, narrow: bool = False) -> Peer:
        """A client with connections of its own, closed with the receiver.

        A narrow one has HTTP/2's least window for what it has not read.
        """
        peer = Peer(self.images, self.captions, [], PATIENCE)
        self._stack.push_async_callback(peer.close)
        if narrow:
            for address in (self.images, self.captions):
                options = [*OPTIONS, ("grpc.http2.bdp_probe", 0)]
                peer._channels[address] = grpc.aio.insecure_channel(address, options=options)
        return peer

    async def talk(self, peer: Peer, channel: Any, stream_id: str = "", **fields: Any) -> Talk:
        """An attached call, cancelled with the receiver."""
        session = await peer.open(channel, stream_id=stream_id or peer.stream_id, **fields)
        return await self._stack.enter_async_context(peer.attach(channel, session))

    async def both(self, peer: Peer) -> tuple[Talk, Talk]:
        """The picture and the caption channel of the peer's stream."""
        return await self.talk(peer, IMAGES), await self.talk(peer, CAPTIONS)

    async def serves(self) -> None:
        """A client that never did wrong gets a picture with its words through, on a stream of its own."""
        before = self.callers[0]
        self.call_as(f"good-{secrets.token_hex(4)}")
        async with AsyncExitStack() as own:
            peer = Peer(self.images, self.captions, [], PATIENCE)
            own.push_async_callback(peer.close)
            images = await own.enter_async_context(peer.attach(IMAGES, await peer.open(IMAGES)))
            words = await own.enter_async_context(peer.attach(CAPTIONS, await peer.open(CAPTIONS)))
            await words.send(caption=words.caption(0, "two people"))
            await words.send(caption=words.caption(1, "never used"))
            await images.send(frame=images.frame(0, good(0), expects_caption=True))
            end = await images.end_of(0)
            assert end.disposition == wire.DISPOSITION_DECODED_WITH_TEXT
        self.call_as(before)

    def frame_ends(self, stream_id: str) -> list[tuple[int, int]]:
        """(seq, disposition) of every frame whose end is in the ledger."""
        return self.ledger.connection.execute(
            "SELECT seq, disposition FROM ends WHERE stream_id=? AND frame_ended=1 ORDER BY seq",
            (stream_id,),
        ).fetchall()


@asynccontextmanager
async def receiving(
    folder: Path,
    limits: Limits = SMALL,
    *,
    codecs: Sequence[wire.CodecId] = (CODEC,),
    reflection: bool = False,
    late_window: float = 60.0,
    pool: DecoderPool | None = None,
    sink: Sink | None = None,
    observer: Observer | None = None,
    tallies: Tallies | None = None,
    **terms: Any,
) -> AsyncIterator[Local]:
    """A receiver on free ports, gone at the end; whatever went wrong inside it is raised."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder / "ledger.sqlite", late_window, time.time)
    pool, sink = pool or NoOpPool(), sink or LedgerOnlySink()
    made: list[Pipeline] = []
    callers = ["anonymous"]

    def pipeline_of(on_end: Any) -> Pipeline:
        made.append(Pipeline(ledger, sink, pool, 256, on_end, observer=observer))
        return made[0]

    listen = Listen(
        "127.0.0.1:0",
        "127.0.0.1:0",
        authenticate=lambda context: Principal(callers[0]),
        options=server_options(limits),
        reflection=reflection,
    )
    offered = Terms(limits=limits, codecs=codecs, **terms)
    gateway = Gateway(listen, offered, ledger, pipeline_of, tallies=tallies)
    images, captions = await gateway.start()
    running = asyncio.create_task(gateway.run())
    local = Local(gateway, ledger, made[0], images, captions, callers)
    try:
        async with local._stack:
            yield local
    finally:
        await gateway.drain(0.0)
        if running.done():
            running.result()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await gateway.close()
        sink.close()
        ledger.close()
