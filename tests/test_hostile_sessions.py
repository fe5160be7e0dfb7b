"""Sessions that cannot be, are another's or are over: each is refused with why, and the stream goes on."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from receiver.flow import Quota
from receiver.registry import UNUSED_SECONDS
from shared.wire.errors import Reason, WireError
from shared.wire.v1 import control_pb2, image_channel_pb2
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.peer import Peer, refused
from tests.hostile import LAST_EPOCH, NO_TEXT, GatedPool, goes_on, status
from tests.wire_client import CAPTIONS, CODEC, DECODED, IMAGES, good, receiving


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


def test_no_newer_bitstream_is_taken_and_every_older_one(tmp_path: Path) -> None:
    """A receiver that knows the long form alone refuses by name who may send the short one, too."""

    async def run() -> None:
        first = wire.CodecId(name="base", bitstream_version=1, model_id=CODEC.model_id)
        newer = wire.CodecId(name="base", bitstream_version=2, model_id=CODEC.model_id)
        unset = wire.CodecId(name="base", model_id=CODEC.model_id)
        async with receiving(tmp_path / "first", codecs=[first]) as local:
            peer = await local.peer()
            error = await refused(
                peer.open(IMAGES, stream_id="s", codecs=[newer]), Reason.MODEL_UNKNOWN
            )
            assert error.details["bitstream_version"] == "2"
            assert "codec base with model 00000000 in version 2" in str(error)
            assert str(error).endswith("not among those decoded here: base 00000000")
            await peer.open(IMAGES, stream_id="s", codecs=[first])
        async with receiving(tmp_path / "newer", codecs=[newer]) as local:
            peer = await local.peer()
            for codec in (first, newer, unset):
                await peer.open(IMAGES, stream_id="s", codecs=[codec])

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


def test_a_session_that_nobody_uses_is_closed_half_a_minute_later_and_no_other(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            now = asyncio.get_running_loop().time
            used = await local.peer()
            images, _ = await local.both(used)
            unused = await local.peer()
            await unused.open(IMAGES, stream_id=unused.stream_id)
            names = {used.stream_id, unused.stream_id}
            # A client that opens its stream late in a sweep's period has as long as any other to attach.
            local.registry.sweep(now())
            assert {one.stream_id for one in local.registry} == names
            local.registry.sweep(now() + UNUSED_SECONDS)
            assert [one.stream_id for one in local.registry] == [used.stream_id]
            assert next(local.registry.closed).stream_id == unused.stream_id
            await goes_on(images, 0)

    asyncio.run(run())
