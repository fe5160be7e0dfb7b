"""Several gateways share the streams without talking; a program takes pictures from a running receiver."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from cluster.trials.feed import write_feed
from cluster.trials.frames import sequence_number
from cluster.trials.processes import Program, address_of, receiver, reserved_port, result
from shared.wire.channels import DELIVERY_BYTES, client_channel
from shared.wire.ownership import owner
from shared.wire.security import ClientSecurity
from shared.wire.v1 import delivery_pb2, delivery_pb2_grpc
from shared.wire.v1 import types_pb2 as wire
from tests.patience import PATIENCE

ROWS = 30
NOOP = ("--set", "decoder=benchmark-echo", "--caption-wait", PATIENCE)


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("feed") / "feed.parquet"
    write_feed(path, ROWS, payload_bytes=500)
    return path


def test_adding_a_gateway_moves_only_its_own_share() -> None:
    three, four = ["a:1", "b:1", "c:1"], ["a:1", "b:1", "c:1", "d:1"]
    streams = [f"stream-{number}" for number in range(2000)]
    before = {one: owner(one, three) for one in streams}
    after = {one: owner(one, four) for one in streams}
    moved = {one for one in streams if before[one] != after[one]}
    assert {after[one] for one in moved} == {"d:1"}
    shares = Counter(after.values())
    assert min(shares.values()) > 400


@pytest.fixture
def two_gateways(tmp_path: Path) -> Iterator[list[str]]:
    with ExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in range(2)]
        addresses = [address_of(port) for port in ports]
        for number, address in enumerate(addresses):
            words = ("--images", address, "--captions", address, *NOOP)
            ours = ("--set", f"gateways={','.join(addresses)}", "--set", f"self_address={address}")
            places = ("--state", tmp_path / f"state{number}", "--sink", tmp_path / f"sink{number}")
            program = Program("receive", *words, *ours, *places)
            stack.callback(program.kill)
            assert program.line()["ready"]
        yield addresses


def test_a_sender_finds_the_owner_of_its_stream(
    two_gateways: list[str], feed: Path, tmp_path: Path
) -> None:
    for stream in ("news", "sport"):
        right = two_gateways.index(owner(stream, two_gateways))
        wrong = two_gateways[1 - right]
        sent = result(
            [
                *("send", "--feed", feed, "--codec", "sealed", "--stream", stream),
                *("--images", wrong, "--captions", wrong, "--state", tmp_path / stream),
            ]
        )
        assert sent["decoded_with_text"] == ROWS
        assert len(list((tmp_path / f"sink{right}" / stream).glob("*.swi"))) == ROWS
        assert not (tmp_path / f"sink{1 - right}" / stream).exists()


async def take(address: str, count: int, done: int) -> list[delivery_pb2.SubscribeResponse]:
    """``count`` deliveries; then say that those up to ``done`` are done with, and hang up."""
    async with client_channel(address, ClientSecurity(), response_bytes=DELIVERY_BYTES) as channel:
        call = delivery_pb2_grpc.DeliveryServiceStub(channel).Subscribe()
        await call.write(delivery_pb2.SubscribeRequest())
        taken = []
        while len(taken) < count:
            response = await call.read()
            assert response is not grpc.aio.EOF
            taken.append(response)
        await call.write(delivery_pb2.SubscribeRequest(done_offset=taken[done - 1].offset))
        await call.done_writing()
        while await call.read() is not grpc.aio.EOF:
            pass
        return taken


def test_a_subscriber_sees_each_picture_once_over_breaks(feed: Path, tmp_path: Path) -> None:
    with receiver(tmp_path / "state", "--sink-kind", "subscriber", *NOOP) as running:
        sending = Program(
            *("send", "--feed", feed, "--codec", "sealed", "--state", tmp_path / "journal"),
            *("--images", running.images, "--captions", running.captions, "--json"),
        )
        first = asyncio.run(take(running.images, 12, done=10))
        second = asyncio.run(take(running.images, ROWS - 10, done=ROWS - 10))
        assert sending.line()["decoded_with_text"] == ROWS
    assert [one.offset for one in second[:2]] == [one.offset for one in first[10:]]
    kept = first[:10] + second
    assert [one.offset for one in kept] == sorted({one.offset for one in kept})
    numbers = [sequence_number(one.picture) for one in kept]
    assert numbers == [one.key.seq for one in kept]
    assert sorted(numbers) == list(range(ROWS))
    assert {one.disposition for one in kept} == {wire.DISPOSITION_DECODED_WITH_TEXT}
    assert all(one.caption.startswith(f"Caption {one.key.seq}:") for one in kept)
