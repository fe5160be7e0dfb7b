"""Floods, and clients that do not read: windows hold what was stated, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from receiver.attachment import MOST_REFUSALS
from receiver.flow import Quota
from shared.wire.errors import Reason
from shared.wire.limits import READ_AHEAD, Limits, Window
from shared.wire.v1 import types_pb2 as wire
from tests.hostile import WITH_TEXT, GatedPool, goes_on, goes_on_with_words
from tests.wire_client import CAPTIONS, DECODED, IMAGES, SMALL, good, receiving


def test_a_flood_of_captions_without_pictures(tmp_path: Path) -> None:
    """The window holds, the rest is refused, and what was held ends when its time is over."""

    async def run() -> None:
        async with receiving(tmp_path, caption_ttl=5.0) as local:
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
            unanswered = SMALL.caption_window.frames // 2
            for number in range(count):
                text = None if number % 2 else f"revision {number}"
                await words.send(caption=words.caption(0, text, revision=1 + number))
                # By what was heard: what the receiver holds says nothing of what is still on its way to it.
                await words.until(lambda sent=number + 1: sent - len(words.outcomes) < unanswered)
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
    """Neither what it is to be told nor what it sends piles up further than stated; all is said at last."""

    async def run() -> None:
        async with receiving(tmp_path) as local:
            talk = await local.talk(await local.peer(narrow=True), channel)
            (session,) = local.registry
            flow = session.images if channel == IMAGES else session.captions
            (attached,) = local.gateway._channels[channel == CAPTIONS]._attachments.values()
            size, written, enough = 2000, 0, False

            async def send() -> None:
                nonlocal written
                while not enough:
                    await talk.send_raw(b"\xff" * size)
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
            # And the client's gRPC keeps a little of what it was given to write. A window that gRPC
            # estimates is 4 MiB at least.
            assert (written - flow.received) * size < 2 * READ_AHEAD + (256 << 10)
            enough = True
            await talk.until(sending.done)
            await talk.until(lambda: len(talk.refusals) == written)
            if channel == IMAGES:
                await goes_on(talk, 0)
            else:
                await goes_on_with_words(local, talk)

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
