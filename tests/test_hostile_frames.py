"""Frames that lie, change or are too large: each is told why, and the stream takes the next picture."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from shared.bitstream.container import Container, Form
from shared.bitstream.header import Header
from shared.bitstream.varint import write_varint
from shared.systems.catalogue import system
from shared.wire.errors import Reason
from shared.wire.limits import MESSAGE_OVERHEAD
from shared.wire.v1 import types_pb2 as wire
from tests.hostile import NO_TEXT, GatedPool, goes_on, status
from tests.wire_client import IMAGES, SMALL, good, receiving

BASE = system("base").container_id


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


def short(codec_id: int, model_id: bytes, side: int = 64) -> bytes:
    """A container in the short form, and no more than its header."""
    container = Container.seal(Header(codec_id, model_id, side, side, 4), (), lambda _: b"")
    assert container.form is Form.SHORT
    return container.to_bytes()


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
            other_codec(BASE, b"\xff\xfe\xfd\xfc"),
            Reason.MODEL_UNKNOWN,
            {"codec": "base", "model_id": "fffefdfc"},
        ),
        (short(BASE, bytes(4))[:-1], Reason.MALFORMED, {"field": "container"}),
        (short(BASE, bytes(4)) + b"\0", Reason.MALFORMED, {"field": "container"}),
        (short(BASE, bytes(4)) + b"\1" * 256, Reason.MALFORMED, {"field": "container"}),
        (b"\xa0" + short(BASE, bytes(4))[1:], Reason.MALFORMED, {"field": "container"}),
        (
            short(BASE, bytes(4), 8192),
            Reason.TOO_LARGE,
            {"value": str(1 << 26), "limit": str(1 << 20)},
        ),
        (short(31, bytes(4)), Reason.MODEL_UNKNOWN, {"codec_id": "31"}),
        (
            short(BASE, b"\xff\0\0\0"),
            Reason.MODEL_UNKNOWN,
            {"codec": "base", "model_id": "ff"},
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


def test_a_short_container_is_taken_by_the_byte_of_its_model(tmp_path: Path) -> None:
    async def run() -> None:
        async with receiving(tmp_path) as local:
            images = await local.talk(await local.peer(), IMAGES)
            await images.send(frame=images.frame(0, short(BASE, bytes(4))))
            assert (await images.end_of(0)).disposition == NO_TEXT

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
