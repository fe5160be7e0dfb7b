"""The demo's three senders as processes: of pictures, of their previews, and of captions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.demo.children import Child
from cluster.demo.pipe import FeedPipe
from receiver.serve import Addresses
from shared.wire.channels import client_channel
from shared.wire.security import ClientSecurity
from shared.wire.streams import previews_of
from shared.wire.v1 import control_pb2, control_pb2_grpc

__all__ = ["STREAM", "Senders", "running"]

STREAM = "demo"
#: Of a preview: what a post itself could carry.
PREVIEW_BYTES = 50
#: Pictures that a sender encodes ahead: more would only make the pace that is asked for a queue.
AHEAD = 4
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Senders:
    """The processes, what each reads as its feed, and the address of their receiver."""

    receiver: str
    children: tuple[Child, ...]
    pictures: FeedPipe
    previews: FeedPipe
    captions: FeedPipe

    async def attached(self) -> None:
        """Wait until all stand at the receiver: what follows is not their start-up time."""
        async with client_channel(self.receiver, ClientSecurity()) as channel:
            control = control_pb2_grpc.ControlServiceStub(channel)
            while True:
                answer = await control.ListSessions(control_pb2.ListSessionsRequest())
                pictures = {one.stream_id for one in answer.sessions if one.images.attached}
                captions = {one.stream_id for one in answer.sessions if one.captions.attached}
                if STREAM in captions and {STREAM, previews_of(STREAM)} <= pictures:
                    return
                await asyncio.sleep(LOOK_SECONDS)

    async def finish(self) -> None:
        """Wait until each has said that all it had has ended.

        Raises:
            SidewireError: one has ended otherwise.
        """
        async with asyncio.TaskGroup() as group:
            for child in self.children:
                group.create_task(child.result())


@asynccontextmanager
async def running(
    addresses: Addresses, state: Path, codec: str, quality: int | None, processes: int
) -> AsyncIterator[Senders]:
    """The senders at their receiver; they are stopped in the end, whatever becomes of them.

    Args:
        state: folder of their journals and logs.
        quality: None for the codec's own.
        processes: that encode pictures.
    """
    read = ("--feed", "-", "--json")
    to = (*read, "--images", addresses.images, "--codec", codec, "--set", f"ahead={AHEAD}")
    level = () if quality is None else ("--quality", quality)
    commands = {
        "pictures": (
            *("send", *to, "--stream", STREAM, "--state", state / "sender", *level),
            *("--processes", processes, "--set", "expect_captions=true"),
        ),
        "previews": (
            *("send", *to, "--stream", previews_of(STREAM), "--state", state / "previews"),
            *("--processes", 1, "--preview-bytes", PREVIEW_BYTES),
        ),
        "captions": (
            *("captions", *read, "--stream", STREAM, "--to", addresses.captions),
            *("--set", "tombstones=false"),
        ),
    }
    async with AsyncExitStack() as stack:
        children = []
        for name, words in commands.items():
            child = await Child.start(state / f"{name}.log", *words)
            stack.push_async_callback(child.stop)
            children.append(child)
        pipes = (FeedPipe(one.stdin, name) for one, name in zip(children, commands, strict=True))
        yield Senders(addresses.images, tuple(children), *pipes)
