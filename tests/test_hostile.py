"""Clients that lie, flood, stall and vanish: each is told why, nobody else notices, no picture is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from cluster.trials.processes import receiver
from receiver.attachment import MOST_REFUSALS
from receiver.decoders.noop import NoOpPool
from receiver.flow import Quota
from receiver.joiner import JoinPolicy
from receiver.sinks.ledger_only import LedgerOnlySink
from receiver.work import DecodeFailure, DecodeResult, DecodeTask, Delivery
from shared.bitstream.container import CODEC_IDS, Container, Header
from shared.bitstream.varint import write_varint
from shared.wire.checksums import caption_crc
from shared.wire.errors import Reason, WireError
from shared.wire.limits import MESSAGE_OVERHEAD, Limits, Window
from shared.wire.v1 import control_pb2, image_channel_pb2
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.peer import Peer, refused
from tests.conformance.rules import Violation
from tests.conformance.talk import Talk
from tests.wire_client import CAPTIONS, CODEC, DECODED, IMAGES, SMALL, Local, good, receiving

SERVICES = ["ControlService", "ImageChannelService", "CaptionChannelService"]
NO_TEXT, WITH_TEXT = wire.DISPOSITION_DECODED_NO_TEXT, wire.DISPOSITION_DECODED_WITH_TEXT
LAST_EPOCH = 2**32 - 1


class GatedPool(NoOpPool):
    """Decodes nothing until its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()

    def shut(self) -> None:
        """Close it."""
        self.gate.clear()
        self.asked.clear()

    async def decode(self, tasks: Sequence[DecodeTask]) -> list[DecodeResult | DecodeFailure]:
        self.asked.set()
        await self.gate.wait()
        return await super().decode(tasks)


class FullDisk(LedgerOnlySink):
    """A sink without room, until somebody makes some."""

    full = True

    def write(self, deliveries: Sequence[Delivery]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")


async def goes_on(images: Talk, seq: int) -> None:
    """The very stream that was abused still takes a picture."""
    await images.send(frame=images.frame(seq, good(seq)))
    assert (await images.end_of(seq)).disposition in DECODED


async def status(talk: Talk) -> grpc.StatusCode:
    """How a call ends that ends without a reason of ours."""
    with pytest.raises(Violation, match="the call ended with"):
        await talk.silence()
    code: grpc.StatusCode = await talk._call.code()
    return code


async def goes_on_with_words(local: Local, words: Talk) -> None:
    """The very caption stream that was abused still takes words that a picture is decoded with."""
    peer = await local.peer()
    images = await local.talk(peer, IMAGES, words.session.stream_id, epoch=words.session.epoch)
    seq = images.positions.cumulative
    await images.send(frame=images.frame(seq, good(seq), expects_caption=True))
    await words.send(caption=words.caption(seq, "two people", revision=2**31 - 1))
    assert (await images.end_of(seq)).disposition == WITH_TEXT


# Sessions


def test_quota_of_streams_names_limit_and_value(tmp_path: Path) -> None:
    async def run() -> None:
        async with receiving(tmp_path, quota=Quota(streams=16)) as local:
            peer = await local.peer()
            for number in range(16):
                await peer.open(IMAGES, stream_id=f"mine-{number}")
            for number in range(16, 300):
                call = peer.open(IMAGES, stream_id=f"mine-{number}")
                error = await refused(call, Reason.OVER_QUOTA)
                assert error.details == {"limit": "16", "value": "16"}
            assert len(list(local.registry)) == 16
            await peer.open(CAPTIONS, stream_id="mine-3")  # one that is open is no other
            await local.serves()

    asyncio.run(run())


def test_nobody_reaches_into_another_senders_stream(tmp_path: Path) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            local.call_as("alice")
            peer = await local.peer()
            images = await local.talk(peer, IMAGES, "hers")
            local.call_as("mallory")
            known = images.session.session_id
            shown = control_pb2.GetSessionRequest(session_id=known)
            closed = control_pb2.CloseSessionRequest(session_id=known, channel=IMAGES)
            for call in (
                partial(peer.open, IMAGES, stream_id="hers"),
                partial(peer.open, CAPTIONS, stream_id="hers", epoch=7),
                partial(peer.open, IMAGES, stream_id="hers", resume_session_id=known),
                partial(peer.control, "GetSession", shown),
                partial(peer.control, "CloseSession", closed),
                partial(attach, peer, images.session),
            ):
                await refused(call(), Reason.NOT_YOURS)
            listed = await peer.control("ListSessions", control_pb2.ListSessionsRequest())
            assert not listed.sessions
            local.call_as("alice")
            await goes_on(images, 0)

    asyncio.run(run())


async def attach(peer: Peer, session: Any, epoch: int | None = None) -> None:
    """Attach to the picture channel, and leave."""
    async with peer.attach(IMAGES, session, epoch):
        pass


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"stream_id": ""}, Reason.MALFORMED),
        ({"stream_id": ".hidden"}, Reason.MALFORMED),
        ({"stream_id": "a/../b"}, Reason.MALFORMED),
        ({"stream_id": "nul\0"}, Reason.MALFORMED),
        ({"stream_id": "line\n"}, Reason.MALFORMED),
        ({"stream_id": "x" * 65}, Reason.MALFORMED),
        ({"stream_id": "\U0001f99c" * 4000}, Reason.MALFORMED),
        ({"channel": 0}, Reason.MALFORMED),
        ({"channel": 77}, Reason.MALFORMED),
        ({"resume_session_id": "0" * 32}, Reason.SESSION_UNKNOWN),
        ({"resume_session_id": "\0" * 16000}, Reason.SESSION_UNKNOWN),
        ({"codecs": [wire.CodecId(name="h265")]}, Reason.MODEL_UNKNOWN),
        ({"codecs": [wire.CodecId(name="base", model_id=b"else")]}, Reason.MODEL_UNKNOWN),
        (
            {"codecs": [wire.CodecId(name="\U0001f99c" * 2000, model_id=bytes(8000))]},
            Reason.MODEL_UNKNOWN,
        ),
    ],
)
def test_sessions_that_cannot_be(tmp_path: Path, fields: dict[str, Any], reason: Reason) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            peer = await local.peer()
            request = control_pb2.OpenSessionRequest(
                **{"stream_id": "s", "channel": IMAGES} | fields
            )
            await refused(peer.control("OpenSession", request), reason)
            assert not list(local.registry)
            await peer.open(IMAGES, stream_id="s", codecs=[CODEC])

    asyncio.run(run())


def test_closing_names_a_channel(tmp_path: Path) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            peer = await local.peer()
            session = await peer.open(IMAGES)
            for channel in (0, 77):
                request = control_pb2.CloseSessionRequest(
                    session_id=session.session_id, channel=channel
                )
                error = await refused(peer.control("CloseSession", request), Reason.MALFORMED)
                assert error.details == {"field": "channel"}

    asyncio.run(run())


def test_attaching_wrongly(tmp_path: Path) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            peer = await local.peer()
            session = await peer.open(IMAGES)
            for epoch in (0, 2, LAST_EPOCH):
                error = await refused(attach(peer, session, epoch), Reason.STALE_EPOCH)
                assert error.details == {"epoch": "1"}
            unknown = control_pb2.OpenSessionResponse(session_id="0" * 32, epoch=1)
            await refused(attach(peer, unknown), Reason.SESSION_UNKNOWN)
            frame = image_channel_pb2.StreamImagesRequest(frame=image_channel_pb2.ImageFrame(seq=0))
            for first in (b"", b"\xff" * 100, frame.SerializeToString()):
                async with peer.call(IMAGES, session) as talk:
                    await talk.send_raw(first)
                    assert (await talk.silence()).reason is Reason.NOT_ATTACHED
            async with peer.call(IMAGES, session) as talk:
                await talk._call.done_writing()
                assert (await talk.silence()).reason is Reason.NOT_ATTACHED
            async with peer.attach(IMAGES, session) as images:
                await images.send(attach=wire.Attach(session_id=session.session_id, epoch=1))
                await images.refusal_of(None, Reason.MALFORMED)
                await goes_on(images, 0)
                async with peer.attach(IMAGES, session) as newer:
                    assert (await images.silence()).reason is Reason.SUPERSEDED
                    await goes_on(newer, 1)

    asyncio.run(run())


def test_who_never_attaches_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.channels.ATTACH_SECONDS", 0.05)

    async def run() -> None:
        async with receiving(tmp_path) as local:
            peer = await local.peer()
            async with peer.call(IMAGES, await peer.open(IMAGES)) as talk:
                assert (await talk.silence()).reason is Reason.NOT_ATTACHED

    asyncio.run(run())


# Epochs


def test_stale_and_future_epochs(tmp_path: Path) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            peer = await local.peer()
            images, words = await local.both(peer)
            stream = peer.stream_id
            await words.send(caption=words.caption(5, "early"))
            await images.send(frame=images.frame(1, good(1)))
            await images.end_of(1)
            await refused(peer.open(CAPTIONS, stream_id=stream, epoch=9), Reason.MALFORMED)
            newer = await peer.open(IMAGES, stream_id=stream, epoch=9)
            assert newer.epoch == 9
            assert newer.image_positions == wire.Positions()
            for talk in (images, words):
                assert (await talk.silence()).reason is Reason.STALE_EPOCH
            for channel in (IMAGES, CAPTIONS):
                error = await refused(
                    peer.open(channel, stream_id=stream, epoch=1), Reason.STALE_EPOCH
                )
                assert error.details == {"epoch": "9"}
            # What the old epoch held counts for nobody any more.
            (session,) = local.registry
            assert (session.images.account.held, session.captions.account.held) == (0, 0)

    asyncio.run(run())


def test_nothing_of_an_epoch_that_is_over_counts(tmp_path: Path) -> None:
    """Its decodes end after the new one has begun, and messages are still on the way."""

    async def run() -> None:
        pool = GatedPool()
        async with receiving(tmp_path, pool=pool) as local:
            peer = await local.peer()
            images, words = await local.both(peer)
            (old,) = local.registry
            await images.send(frame=images.frame(0, good(0)))
            await words.send(caption=words.caption(7, "early"))
            await pool.asked.wait()
            for _ in range(3):
                await peer.open(IMAGES, stream_id=peer.stream_id)
                # As a reader would that has not heard yet that its client is over.
                old.captions.hold(10)
                old.captions.release(10)
                old.images.hold(10)
            pool.gate.set()
            (session,) = local.registry
            assert session.epoch == 4
            again = await local.talk(peer, IMAGES, peer.stream_id, epoch=4)
            await goes_on(again, 0)
            assert (session.images.account.held, session.images.account.held_bytes) == (0, 0)
            assert (session.captions.account.held, session.captions.account.held_bytes) == (0, 0)
            assert local.frame_ends(peer.stream_id) == [(0, NO_TEXT)]

    asyncio.run(run())


def test_the_last_epoch_has_no_next(tmp_path: Path) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            peer = await local.peer()
            await peer.open(IMAGES, epoch=LAST_EPOCH)
            error = await refused(peer.open(IMAGES), Reason.STALE_EPOCH)
            assert error.details == {"epoch": str(LAST_EPOCH)}
            images = await local.talk(peer, IMAGES, epoch=LAST_EPOCH)
            await goes_on(images, 0)

    asyncio.run(run())


# Pictures


def test_duplicates_and_changed_content(tmp_path: Path) -> None:
    async def run() -> None:
        pool = GatedPool()
        async with receiving(tmp_path, pool=pool) as local:
            peer = await local.peer()
            images = await local.talk(peer, IMAGES)
            first = images.frame(0, good(0))
            other = images.frame(0, good(1))
            for message in (first, first, other):
                await images.send(frame=message)
            await images.refusal_of(0, Reason.CONTENT_CHANGED)
            await images.send(skip=images.skip(0, content_id=first.content_id))
            pool.gate.set()
            assert (await images.end_of(0)).disposition == NO_TEXT
            images.refusals.clear()
            await images.send(frame=first)
            again = await images.end_of(0, count=2)
            assert again.disposition == wire.DISPOSITION_DUPLICATE
            await images.send(frame=other)
            await images.refusal_of(0, Reason.CONTENT_CHANGED)
            images.refusals.clear()
            await images.send(skip=images.skip(0))
            await images.refusal_of(0, Reason.CONTENT_CHANGED)
            await goes_on(images, 1)
            assert local.frame_ends(peer.stream_id) == [(0, NO_TEXT), (1, NO_TEXT)]

    asyncio.run(run())


def claims(width: int, height: int, length: int = 4, payload: bytes = bytes(4)) -> bytes:
    """A container whose header says what it likes."""
    head = b"S\xd7\x10\x01" + bytes(4)
    return (
        head
        + b"".join(map(write_varint, (width, height)))
        + b"\4"
        + write_varint(length)
        + bytes(4)
        + payload
    )


def other_codec(codec_id: int, model_id: bytes) -> bytes:
    return Container(Header(codec_id, model_id, 64, 64, 4), 0, bytes(8)).to_bytes()


@pytest.mark.parametrize(
    ("container", "reason", "details"),
    [
        (b"", Reason.MALFORMED, {"field": "container"}),
        (bytes(1000), Reason.MALFORMED, {"field": "container"}),
        (good(0)[:-1], Reason.MALFORMED, {"field": "container"}),
        (good(0) + b"\0", Reason.MALFORMED, {"field": "container"}),
        (claims(64, 64, 1 << 27), Reason.MALFORMED, {"field": "container"}),
        (claims(64, 64, 1 << 62), Reason.MALFORMED, {"field": "container"}),
        (claims(8193, 64), Reason.TOO_LARGE, {"value": "8193", "limit": "8192"}),
        (claims(64, 1 << 27), Reason.TOO_LARGE, {"value": str(1 << 27), "limit": "8192"}),
        (claims(64, 1 << 60), Reason.MALFORMED, {"field": "container"}),
        (claims(31_623, 31_623), Reason.TOO_LARGE, {"value": "31623", "limit": "8192"}),
        (claims(8192, 8192), Reason.TOO_LARGE, {"value": str(1 << 26), "limit": str(1 << 20)}),
        (other_codec(255, bytes(4)), Reason.MODEL_UNKNOWN, {"codec_id": "255"}),
        (
            other_codec(CODEC_IDS["base"], b"\xff\xfe\xfd\xfc"),
            Reason.MODEL_UNKNOWN,
            {"codec": "base", "model_id": "fffefdfc"},
        ),
    ],
)
def test_containers_that_lie(
    tmp_path: Path, container: bytes, reason: Reason, details: dict[str, str]
) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            images = await local.talk(await local.peer(), IMAGES)
            await images.send(frame=images.frame(0, container))
            error = await images.refusal_of(0, reason)
            assert error.details.items() >= details.items()
            assert (await images.end_of(0)).disposition == wire.DISPOSITION_REJECTED
            await goes_on(images, 1)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fields", "field", "limit"),
    [
        ({"name": "n" * 129}, "name", 128),
        ({"name": "\U0001f99c" * 33}, "name", 128),
        ({"name": "n" * 19_000}, "name", 128),
        ({"content_id": bytes(15)}, "content_id", None),
        ({"content_id": bytes(19_000)}, "content_id", None),
    ],
)
def test_nothing_oversized_is_kept(
    tmp_path: Path, fields: dict[str, Any], field: str, limit: int | None
) -> None:
    """Neither in memory nor in the ledger, whichever message it comes in."""

    async def run() -> None:
        async with receiving(tmp_path) as local:
            peer = await local.peer()
            images = await local.talk(peer, IMAGES)
            await images.send(frame=images.frame(0, good(0), **fields))
            await images.send(skip=images.skip(1, **fields))
            for seq in (0, 1):
                error = await images.refusal_of(
                    seq, Reason.TOO_LARGE if limit else Reason.MALFORMED
                )
                assert error.details["field"] == field
                assert (await images.end_of(seq)).disposition == wire.DISPOSITION_REJECTED
            await goes_on(images, 2)
            rows = local.ledger.connection.execute("SELECT content_id, reason FROM ends").fetchall()
            assert all(len(content_id) <= 16 and len(reason) < 200 for content_id, reason in rows)

    asyncio.run(run())


def test_the_largest_frame_and_one_byte_more(tmp_path: Path) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            peer = await local.peer()
            images = await local.talk(peer, IMAGES)
            spare = SMALL.frame_bytes - len(good(0, 1000))
            exact, over = good(0, 1000 + spare), good(1, 1001 + spare)
            assert (len(exact), len(over)) == (SMALL.frame_bytes, SMALL.frame_bytes + 1)
            await images.send(frame=images.frame(0, exact))
            assert (await images.end_of(0)).disposition == NO_TEXT
            await images.send(frame=images.frame(1, over))
            error = await images.refusal_of(1, Reason.TOO_LARGE)
            assert error.reason.code is grpc.StatusCode.OUT_OF_RANGE
            assert error.details == {
                "field": "container",
                "value": str(SMALL.frame_bytes + 1),
                "limit": str(SMALL.frame_bytes),
            }
            await goes_on(images, 2)

            # A message that does not fit in any case is gRPC's to refuse: it ends the call, no more.
            most = SMALL.frame_bytes + MESSAGE_OVERHEAD
            await images.send_raw(bytes(most))
            await images.refusal_of(None, Reason.MALFORMED)
            await images.send_raw(bytes(most + 1))
            assert await status(images) is grpc.StatusCode.RESOURCE_EXHAUSTED
            await goes_on(await local.talk(peer, IMAGES, epoch=1), 3)

    asyncio.run(run())


# Floods


def test_a_flood_of_captions_without_pictures(tmp_path: Path) -> None:
    """The window holds, the rest is refused, and what was held ends when its time is over."""

    async def run() -> None:
        async with receiving(tmp_path, caption_ttl=1.0) as local:
            peer = await local.peer()
            images, words = await local.both(peer)
            window = SMALL.caption_window.frames
            flood = 10_000

            async def send() -> None:
                for number in range(flood):
                    seq = number % SMALL.seq_window
                    revision = 1 + number // SMALL.seq_window
                    await words.send(caption=words.caption(seq, "wet paint", revision=revision))

            def answers() -> int:
                return len(words.refusals) + len(words.outcomes)

            sending = asyncio.create_task(send())
            (session,) = local.registry
            most = 0
            while answers() < flood:
                most = max(most, session.captions.held)
                await words.hear()
            await sending
            assert most == window
            assert {error.reason for _, error in words.refusals} == {Reason.OVER_CREDIT}
            assert all("frames" in error.details for _, error in words.refusals)
            ended = {one.disposition for one in words.outcomes}
            assert ended == {wire.DISPOSITION_EXPIRED}
            assert len(words.outcomes) >= window
            assert (session.captions.held, session.captions.held_bytes) == (0, 0)
            await goes_on(images, 0)
            await local.serves()

    asyncio.run(run())


def test_captions_that_fill_every_window_do_not_keep_pictures_out(tmp_path: Path) -> None:
    async def run() -> None:
        quota = Quota(streams=8, images=SMALL.image_window, captions=SMALL.caption_window)
        async with receiving(tmp_path, quota=quota) as local:
            images, words = await local.both(await local.peer())
            for seq in range(SMALL.caption_window.frames):
                await words.send(caption=words.caption(1000 + seq, "x"))
            await words.send(caption=words.caption(0, "one too many"))
            await words.refusal_of(0, Reason.OVER_CREDIT)
            for seq in range(100):
                await goes_on(images, seq)

    asyncio.run(run())


@pytest.mark.parametrize("early", [True, False])
def test_floods_of_tombstones_and_revisions(tmp_path: Path, early: bool) -> None:
    """For a picture that comes last, and for one that was decoded: every revision ends once."""

    async def run() -> None:
        async with receiving(tmp_path) as local:
            peer = await local.peer()
            images, words = await local.both(peer)
            if not early:
                await goes_on(images, 0)
            count = 2 * SMALL.caption_window.frames
            (session,) = local.registry
            for number in range(count):
                text = None if number % 2 else f"revision {number}"
                await words.send(caption=words.caption(0, text, revision=1 + number))
                await words.until(lambda: session.captions.held < SMALL.caption_window.frames // 2)
            if early:
                await images.send(frame=images.frame(0, good(0), expects_caption=True))
                assert (await images.end_of(0)).disposition in DECODED
            await words.until(lambda: len(words.outcomes) == count)
            ends = Counter(one.revision for one in words.outcomes)
            assert set(ends.values()) == {1}
            assert len(ends) == count
            assert not words.refusals
            await goes_on(images, 1)

    asyncio.run(run())


def test_a_flood_of_frames_over_the_credit(tmp_path: Path) -> None:
    async def run() -> None:
        pool = GatedPool()
        async with receiving(tmp_path, pool=pool) as local:
            images = await local.talk(await local.peer(), IMAGES)
            frames, size = SMALL.image_window.frames, SMALL.image_window.bytes
            (session,) = local.registry
            for seq in range(20):  # the bytes run out first
                await images.send(frame=images.frame(seq, good(seq, 15_000)))
            fit = size // len(good(0, 15_000))
            for seq in range(fit, 20):
                await images.refusal_of(seq, Reason.OVER_CREDIT)
            assert session.images.held_bytes <= size
            for seq in range(100, 600):
                await images.send(skip=images.skip(seq))
            await images.until(lambda: len(images.outcomes) + len(images.refusals) == 520 - fit)
            assert session.images.held <= frames
            pool.gate.set()
            for seq in range(fit, 20):
                await goes_on(images, seq)
            assert (session.images.held, session.images.held_bytes) == (0, 0)
            assert [seq for seq, _ in local.frame_ends(images.session.stream_id)][:20] == list(
                range(20)
            )

    asyncio.run(run())


@pytest.mark.parametrize("channel", [IMAGES, CAPTIONS])
def test_a_client_that_never_reads_is_not_read(tmp_path: Path, channel: Any) -> None:
    """What it is to be told piles up no further than stated; it is all said in the end."""

    async def run() -> None:
        async with receiving(tmp_path) as local:
            talk = await local.talk(await local.peer(narrow=True), channel)
            (session,) = local.registry
            flow = session.images if channel == IMAGES else session.captions
            (attached,) = local.gateway._channels[channel == CAPTIONS]._attachments.values()
            written, enough = 0, False

            async def send() -> None:
                nonlocal written
                while not enough:
                    await talk.send_raw(b"\xff" * 2000)
                    written += 1

            sending = asyncio.create_task(send())
            piled, seen = 0, (-1, -1)
            while seen != (flow.received, written):  # until nothing moves any more
                seen = (flow.received, written)
                for _ in range(10):
                    await local.serves()
                    piled = max(piled, len(attached._refusals))
            assert flow.received < written
            assert MOST_REFUSALS < piled <= MOST_REFUSALS + 1
            enough = True
            await talk.until(sending.done)
            await talk.until(lambda: len(talk.refusals) == written)
            if channel == IMAGES:
                await goes_on(talk, 0)
            else:
                await goes_on_with_words(local, talk)

    asyncio.run(run())


# Comings and goings


def test_a_client_that_closes_its_side_is_told_every_end(tmp_path: Path) -> None:
    async def run() -> None:
        pool = GatedPool()
        async with receiving(tmp_path, pool=pool) as local:
            images = await local.talk(await local.peer(), IMAGES)
            for seq in range(40):
                await images.send(frame=images.frame(seq, good(seq)))
            await images._call.done_writing()
            await pool.asked.wait()
            pool.gate.set()
            assert await status(images) is grpc.StatusCode.OK
            assert sorted(one.seq for one in images.outcomes) == list(range(40))

    asyncio.run(run())


def test_clients_that_vanish_leave_nothing_behind(tmp_path: Path) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            peer = await local.peer()
            session = await peer.open(IMAGES)
            for number in range(30):
                async with (
                    peer.attach(IMAGES, session) as images,
                    peer.attach(CAPTIONS, session) as words,
                ):
                    await images.send(frame=images.frame(number, good(number)))
                    await words.send(caption=words.caption(number, "gone"))
            images = await local.talk(peer, IMAGES, epoch=1)
            for number in range(30):  # what was lost with a client is sent again
                await images.send(frame=images.frame(number, good(number)))
            await images.until(lambda: images.positions.cumulative == 30)
            rows = local.frame_ends(peer.stream_id)
            assert [seq for seq, _ in rows] == list(range(30))
            assert {disposition for _, disposition in rows} <= DECODED
            assert len(local.gateway._channels[0]._attachments) == 1

    asyncio.run(run())


def test_a_client_that_was_replaced_takes_no_news_of_its_successor(tmp_path: Path) -> None:
    """It had stopped reading in the middle of a word; when it reads on, it hears nothing new."""

    async def run() -> None:
        pool = GatedPool()
        async with receiving(tmp_path, pool=pool) as local:
            peer = await local.peer()
            session = await peer.open(IMAGES)
            async with peer.attach(IMAGES, session) as older:
                for _ in range(4000):
                    await older.send_raw(b"\xff" * 20)  # refusals that it does not read
                (attached,) = local.gateway._channels[0]._attachments.values()
                stuck = attached.news()
                attached.refuse(WireError(Reason.MALFORMED, "x"), None)
                next(stuck)
                async with peer.attach(IMAGES, session) as newer:
                    (flow,) = (one.images for one in local.registry)
                    await newer.send(frame=newer.frame(0, good(0)))
                    await pool.asked.wait()
                    flow.report(wire.Outcome(seq=0, disposition=NO_TEXT))
                    assert not [field for field, _ in stuck if field == "ack"]
                    assert len(flow.outcomes) == 1
                    pool.gate.set()
                    await newer.end_of(0, count=2)

    asyncio.run(run())


# Health and reflection


async def health(local: Local, address: str, service: str) -> Any:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)
        return answer.status


def test_health_a_service(tmp_path: Path) -> None:
    serving, not_serving = (
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
    )

    async def run() -> None:
        sink = FullDisk()
        async with receiving(tmp_path, sink=sink) as local:
            names = ["", *(f"sidewire.v1.{service}" for service in SERVICES)]

            async def becomes(status: Any) -> None:
                for name in names:
                    async with grpc.aio.insecure_channel(local.images) as channel:
                        request = health_pb2.HealthCheckRequest(service=name)
                        watch = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=20)
                        async for answer in watch:
                            if answer.status == status:
                                break

            await becomes(serving)
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await health(local, local.images, "sidewire.v1.NoService")
            assert unknown.value.code() is grpc.StatusCode.NOT_FOUND

            peer = await local.peer()
            images = await local.talk(peer, IMAGES)
            await images.send(frame=images.frame(0, good(0)))
            await becomes(not_serving)  # the disk is full
            sink.full = False
            await becomes(serving)
            assert (await images.end_of(0)).disposition == NO_TEXT

            sink.full = True  # it drains for as long as this frame has not ended
            await images.send(frame=images.frame(1, good(1)))
            await becomes(not_serving)
            draining = asyncio.create_task(local.gateway.drain(20))
            await images.until(lambda: images.positions.cumulative == 1)
            await becomes(not_serving)
            await images.send(frame=images.frame(2, good(2)))
            await images.refusal_of(2, Reason.DRAINING)
            await refused(peer.open(IMAGES), Reason.DRAINING)
            sink.full = False
            assert (await images.end_of(1)).disposition == NO_TEXT
            assert (await draining).frames == 0

    asyncio.run(run())


@pytest.mark.parametrize("shown", [True, False])
def test_reflection_is_behind_its_flag(tmp_path: Path, shown: bool) -> None:
    async def run() -> None:
        async with receiving(tmp_path, reflection=shown) as local:
            for address, service in ((local.images, SERVICES[1]), (local.captions, SERVICES[2])):
                async with grpc.aio.insecure_channel(address) as channel:
                    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
                    call = stub.ServerReflectionInfo(timeout=20)
                    request = reflection_pb2.ServerReflectionRequest(list_services="")
                    with contextlib.suppress(*() if shown else (grpc.aio.AioRpcError,)):
                        await call.write(request)  # the answer may be quicker
                    if not shown:
                        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
                        continue
                    answer = await call.read()
                    names = {one.name for one in answer.list_services_response.service}
                    assert {"grpc.health.v1.Health", f"sidewire.v1.{service}"} <= names

    asyncio.run(run())


# No caption event can fail a picture


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


def test_limits_stated_are_limits_kept(tmp_path: Path) -> None:
    """A receiver that states windows of one message works through them, one at a time."""
    tiny = Limits(
        frame_bytes=1024,
        caption_bytes=64,
        seq_window=4,
        image_window=Window(1, 1024),
        caption_window=Window(1, 64),
    )

    async def run() -> None:
        async with receiving(tmp_path, tiny) as local:
            peer = await local.peer()
            images, words = await local.both(peer)
            assert (images.credit.frames, images.credit.bytes) == (1, 1024)
            for seq in range(20):
                await words.send(caption=words.caption(seq, "x" * 64))
                await images.send(frame=images.frame(seq, good(seq, 900), expects_caption=True))
                assert (await images.end_of(seq)).disposition == WITH_TEXT
                await words.end_of(seq)
            await images.send(frame=images.frame(24, good(24)))
            error = await images.refusal_of(24, Reason.SEQ_TOO_FAR)
            assert error.details == {"value": "24", "limit": "24"}

    asyncio.run(run())


# Memory


def memory(pid: int, which: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (most so far) of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == which:
            return int(value.split()[0]) << 10
    raise AssertionError(f"no {which} of process {pid}")


def test_memory_stays_within_the_windows(tmp_path: Path) -> None:
    """10,000 long captions, frames of the largest size, and clients that never read, all at once.

    Hundreds of megabytes are sent. What may be kept is both windows of each stream; beside them there is what
    HTTP/2 lets clients send ahead, a few messages that are being looked at, and the allocator's waste.
    """
    mega = 1 << 20
    windows = {"image_window_bytes": 8 * mega, "caption_window_bytes": 4 * mega}
    options = windows | {"frame_bytes": mega, "caption_wait": 600, "drain_seconds": 0}
    headroom = 32 * mega
    words = [f"{name}={value}" for name, value in options.items()]
    words += ["decoder=benchmark-noop", "sink_kind=none"]
    settings = [word for one in words for word in ("--set", one)]

    async def attack(images: str, captions: str) -> None:
        peer = Peer(images, captions, [], 60)
        deaf = Peer(images, captions, [], 60)
        pictures = await peer.open(IMAGES)
        unread = await deaf.open(IMAGES)
        async with (
            peer.attach(IMAGES, pictures) as frames,
            peer.attach(CAPTIONS, pictures) as texts,
            deaf.attach(IMAGES, unread) as never_reads,
        ):
            largest = good(0, mega - 100)

            async def send_frames() -> None:
                for seq in range(100):
                    await frames.send(frame=frames.frame(seq, largest, expects_caption=True))

            async def send_captions() -> None:
                for number in range(10_000):
                    await texts.send(caption=texts.caption(1000 + number, "x" * 16_000))

            async def send_and_never_read() -> None:
                while True:
                    await never_reads.send_raw(b"\xff" * 2000)

            deafness = asyncio.create_task(send_and_never_read())
            answered = asyncio.gather(
                frames.until(lambda: len(frames.refusals) >= 100 - 8),
                texts.until(lambda: len(texts.refusals) >= 10_000 - (4 * mega) // 16_000),
            )
            await asyncio.gather(send_frames(), send_captions(), answered)
            # Meanwhile, and after it all, a good client is served.
            fine = Peer(images, captions, [], 60)
            async with fine.attach(IMAGES, await fine.open(IMAGES)) as good_client:
                await goes_on(good_client, 0)
            await fine.close()
            deafness.cancel()
        for one in (peer, deaf):
            await one.close()

    with receiver(tmp_path / "state", *settings) as running:
        pid = running.program.pid
        before = memory(pid, "VmRSS")
        asyncio.run(attack(running.images, running.captions))
        grown = memory(pid, "VmHWM") - before
        assert grown < sum(windows.values()) + headroom, f"{grown / mega:.0f} MB"
