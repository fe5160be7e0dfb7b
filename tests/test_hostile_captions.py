"""No caption event can fail a picture, whatever comes, and whenever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from receiver.joiner import JoinPolicy
from shared.wire.checksums import caption_crc
from shared.wire.errors import Reason
from shared.wire.limits import MESSAGE_OVERHEAD
from shared.wire.v1 import control_pb2, image_channel_pb2
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.peer import Peer
from tests.conformance.talk import Talk
from tests.hostile import LAST_EPOCH, GatedPool, goes_on
from tests.wire_client import CAPTIONS, DECODED, IMAGES, SMALL, Local, good, receiving


@dataclass
class Scene:
    """One picture, and a publisher that may do what it likes."""

    peer: Peer
    images: Talk
    words: Talk

    async def caption(self, text: str | None = "words", **fields: Any) -> None:
        """A caption of the picture, its checksum right."""
        await self.words.send(caption=self.words.caption(0, text, **fields))


async def wrong_then_right_content(scene: Scene) -> None:
    await scene.caption(content_id=b"x" * 16)
    await scene.caption()


async def wrong_checksum(scene: Scene) -> None:
    message = scene.words.caption(0, "words")
    message.crc32c ^= 1
    await scene.words.send(caption=message)


async def checksum_of_another_epoch(scene: Scene) -> None:
    message = scene.words.caption(0, "words")
    message.crc32c = caption_crc(scene.peer.stream_id, 2, message)
    await scene.words.send(caption=message)


async def garbage(scene: Scene) -> None:
    for raw in (
        b"",
        b"\0",
        b"\xff" * 500,
        b"\x12\xff\xff\xff\xff\x0f",
        b"\x12\x04\x22\x02\xc3\x28",
    ):
        await scene.words.send_raw(raw)


async def frame_on_the_wrong_channel(scene: Scene) -> None:
    request = image_channel_pb2.StreamImagesRequest(frame=scene.images.frame(0, good(1)))
    await scene.words.send_raw(request.SerializeToString())


async def too_large_for_grpc(scene: Scene) -> None:
    await scene.words.send_raw(bytes(SMALL.frame_bytes + MESSAGE_OVERHEAD + 1))


async def revisions(scene: Scene) -> None:
    for revision in (3, 1, 2, 2, 2**31 - 1, 5):
        await scene.caption(f"revision {revision}", revision=revision)


async def tombstone_then_words(scene: Scene) -> None:
    await scene.caption(None)
    await scene.caption(revision=2)


async def words_then_tombstone(scene: Scene) -> None:
    await scene.caption()
    await scene.caption(None, revision=2)


async def same_revision_other_words(scene: Scene) -> None:
    for text in ("one", "two", None):
        await scene.caption(text)


async def flood(scene: Scene) -> None:
    for seq in range(3 * SMALL.caption_window.frames):
        await scene.words.send(caption=scene.words.caption(seq, "flood"))


async def fill_positions_with_gaps(scene: Scene) -> None:
    for seq in range(0, 400, 2):
        await scene.words.send(caption=scene.words.caption(seq, "gap", ttl=Duration()))


async def attach_again_and_again(scene: Scene) -> None:
    for _ in range(10):
        async with scene.peer.attach(CAPTIONS, scene.words.session) as words:
            await words.send(caption=words.caption(0, "another", content_id=b"y" * 16))


async def vanish(scene: Scene) -> None:
    await scene.caption()
    scene.words._call.cancel()


async def close_everything(scene: Scene) -> None:
    for channel in (CAPTIONS, IMAGES):
        request = control_pb2.CloseSessionRequest(
            session_id=scene.words.session.session_id, channel=channel
        )
        await scene.peer.control("CloseSession", request)
    await scene.words._call.done_writing()


async def other_text_encoder(scene: Scene) -> None:
    codec = wire.CodecId(name="base", model_id=bytes(4), text_encoder_id="theirs")
    await scene.peer.open(CAPTIONS, epoch=1, codecs=[codec])
    await scene.caption()


def single(text: str | None = "words", **fields: Any) -> Callable[[Scene], Awaitable[None]]:
    async def event(scene: Scene) -> None:
        await scene.caption(text, **fields)

    return event


EVENTS: dict[str, Callable[[Scene], Awaitable[None]]] = {
    "good": single(),
    "empty": single(""),
    "nul": single("a\0b"),
    "beyond the basic plane": single("\U0001f99c" * 256),
    "too long": single("x" * (SMALL.caption_bytes + 1)),
    "far too long": single("x" * SMALL.frame_bytes),
    "language": single(language="x" * 19_000),
    "content": single(content_id=b"x" * 16),
    "content of a wrong length": single(content_id=b"x"),
    "revision 0": single(revision=0),
    "revision 2**31-1": single(revision=2**31 - 1),
    "revision 2**32-1": single(revision=2**32 - 1),
    "ttl over": single(ttl=Duration(seconds=-1)),
    "ttl of zero": single(ttl=Duration()),
    "ttl of an age": single(ttl=Duration(seconds=2**62, nanos=2**31 - 1)),
    "ttl before time": single(ttl=Duration(seconds=-(2**63), nanos=-(2**31))),
    "tombstone": single(None),
    **{
        event.__name__.replace("_", " "): event
        for event in (
            wrong_then_right_content, wrong_checksum, checksum_of_another_epoch, garbage,
            frame_on_the_wrong_channel, too_large_for_grpc, revisions, tombstone_then_words,
            words_then_tombstone, same_revision_other_words, flood, fill_positions_with_gaps,
            attach_again_and_again, vanish, close_everything, other_text_encoder,
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("mode", ["wait", "refine"])
@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_no_caption_event_can_fail_a_picture(
    tmp_path: Path, event: Callable[[Scene], Awaitable[None]], mode: str
) -> None:
    async def act(local: Local, pool: GatedPool, when: str) -> None:
        peer = await local.peer()
        images, words = await local.both(peer)
        scene = Scene(peer, images, words)
        if when == "before":
            await event(scene)
        if when == "decoding":
            pool.shut()
        await images.send(frame=images.frame(0, good(0), expects_caption=when == "waiting"))
        if when == "decoding":
            await pool.asked.wait()
        if when == "after":
            await images.end_of(0)
        if when != "before":
            await event(scene)
        pool.gate.set()
        end = await images.end_of(0)
        assert end.disposition in DECODED
        assert not images.refusals
        assert local.frame_ends(peer.stream_id) == [(0, end.disposition)]
        await goes_on(images, 1)

    async def run() -> None:
        pool = GatedPool()
        pool.gate.set()
        policy = JoinPolicy(caption_wait=0.1, refine=mode == "refine")
        async with receiving(tmp_path, pool=pool, policy=policy, caption_ttl=5.0) as local:
            for when in ("before", "waiting", "decoding", "after"):
                await act(local, pool, when)

    asyncio.run(run())


@pytest.mark.parametrize("epoch", [0, 2, LAST_EPOCH])
def test_a_caption_publisher_that_comes_first_takes_no_epoch_from_pictures(
    tmp_path: Path, epoch: int
) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            peer = await local.peer()
            words = await local.talk(peer, CAPTIONS, epoch=epoch)
            await words.send(caption=words.caption(0, "first"))
            images = await local.talk(peer, IMAGES, epoch=1)  # as its journal says
            assert images.session.epoch == 1
            await images.send(frame=images.frame(0, good(0), expects_caption=epoch == 0))
            assert (await images.end_of(0)).disposition in DECODED
            if epoch:
                assert (await words.silence()).reason is Reason.STALE_EPOCH
            follows = await local.talk(peer, CAPTIONS)
            assert follows.session.epoch == 1
            await goes_on(images, 1)

    asyncio.run(run())
