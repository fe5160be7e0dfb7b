"""Invariant: through a network that does everything that networks do, everything arrives, once, unharmed."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from cluster.trials.effects import as_sent, folder_deliveries, judge
from cluster.trials.feed import write_feed
from cluster.trials.processes import Ends, Program
from tests.network.namespaces import cable, why_impossible
from tests.network.proxy import FaultProxy, Faults
from tests.patience import LATE_WINDOW
from tests.processes import until, until_delivered

FRAMES, PAYLOAD_BYTES = 150, 4000
#: Frames and captions a second where a fault is to come in mid-run, and after how many.
RATE, SOME = 25, 30
RECEIVE = ("--set", "decoder=benchmark-echo", *LATE_WINDOW)
#: Seconds without an end after which a client attaches again; a minute by default.
STALL = ("--set", "stall_seconds=2")
REFUSED = 1
#: Starts that damage to unprotected bytes may cost: a client stops where the receiver seems to refuse it.
MOST_STARTS = 20


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("feeds") / "numbered.parquet"
    write_feed(path, FRAMES, PAYLOAD_BYTES)
    return path


@pytest.fixture
def ends(tmp_path: Path, feed: Path) -> Iterator[Ends]:
    with Ends(tmp_path, feed, receive=RECEIVE, send=("--codec", "sealed", *STALL)) as both:
        yield both


def start(ends: Ends, *words: object) -> tuple[Program, Program]:
    """The sender and the publisher, apart."""
    sender = ends.start_sender("--set", "expect_captions=true", *words)
    return sender, ends.start_publisher(*STALL, *words)


def assert_unharmed(ends: Ends, receiver: Program, *clients: Program) -> None:
    """Wait for the clients' own ends, and judge."""
    for client in clients:
        assert client.wait() == 0, ends.said("send") + ends.said("captions")
    receiver.signal(signal.SIGTERM)
    assert receiver.wait() == 0, ends.said("receive")
    right = as_sent(PAYLOAD_BYTES)
    verdict = judge(folder_deliveries(ends.sink), ends.ledger, FRAMES, right)
    assert (verdict.flaws, verdict.wordless) == ({}, [])


class Lines:
    """The two proxies that a sender and a caption publisher go through."""

    def __init__(self, images: FaultProxy, captions: FaultProxy) -> None:
        self.images, self.captions = images, captions

    def suffer(self, to_server: Faults, to_client: Faults) -> None:
        """The same faults on both channels."""
        for proxy in (self.images, self.captions):
            proxy.to_server, proxy.to_client = to_server, to_client


@pytest.fixture
def lines(ends: Ends) -> Iterator[Lines]:
    with (
        FaultProxy(*_host_and_port(ends.images), seed=1) as images,
        FaultProxy(*_host_and_port(ends.captions), seed=2) as captions,
    ):
        ends.to_images, ends.to_captions = images.address, captions.address
        yield Lines(images, captions)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(latency=0.05),
        Faults(bandwidth=300_000),
        Faults(slice_bytes=7),
        Faults(latency=0.02, bandwidth=500_000, slice_bytes=100),
    ],
    ids=["latency", "bandwidth", "slices", "all"],
)
def test_a_poor_line(ends: Ends, lines: Lines, faults: Faults) -> None:
    lines.suffer(faults, faults)
    assert_unharmed(ends, ends.start_receiver(), *start(ends))


def test_resets(ends: Ends, lines: Lines) -> None:
    receiver = ends.start_receiver()
    sender, publisher = start(ends, "--rate", RATE)
    for count in range(SOME, FRAMES, SOME):
        until_delivered(ends.sink, count)
        lines.images.reset()
        lines.captions.reset()
    assert_unharmed(ends, receiver, sender, publisher)
    assert sender.line()["connections"] > 1


def test_stalls(ends: Ends, lines: Lines) -> None:
    """Longer than a client waits: it gives the connection up, and what it sent comes all the same."""
    receiver = ends.start_receiver()
    clients = start(ends, "--rate", RATE)
    until_delivered(ends.sink, SOME)
    with lines.images.stalled(), lines.captions.stalled():
        until(lambda: "nothing ended for 2 s" in ends.said("send"), "the sender gives up")
    assert_unharmed(ends, receiver, *clients)


def test_flipped_bits(ends: Ends, lines: Lines) -> None:
    """Some ten in each run, most of them in messages: these are sent again, or the connection is."""
    lines.images.to_server = Faults(flips=2e-5)
    lines.images.to_client = lines.captions.to_server = lines.captions.to_client = Faults(
        flips=1e-4
    )
    receiver = ends.start_receiver()
    programs = start(ends)
    sender, publisher = (
        until_done(program, restart)
        for program, restart in zip(
            programs,
            (
                lambda: ends.start_sender("--set", "expect_captions=true"),
                lambda: ends.start_publisher(*STALL),
            ),
            strict=True,
        )
    )
    assert sender.line()["resent"] > 0
    assert_unharmed(ends, receiver, sender, publisher)


def until_done(client: Program, restart: Callable[[], Program]) -> Program:
    """Wait for a client's success. Where damage made a request or a refusal another one, it may stop and
    tell its operator, who starts it again."""
    for _ in range(MOST_STARTS):
        code = client.wait()
        if code == 0:
            break
        assert code == REFUSED
        client = restart()
    return client


def test_a_request_that_is_no_text_does_not_make_a_receiver_deaf(ends: Ends) -> None:
    receiver = ends.start_receiver()
    receiver.line()
    with grpc.insecure_channel(ends.images) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary(b"/sidewire.v1.Contro\xecService/OpenSession")(b"", timeout=20)
    assert_unharmed(ends, receiver, *start(ends))


IMPOSSIBLE = why_impossible()


@pytest.mark.skipif(IMPOSSIBLE is not None, reason=str(IMPOSSIBLE))
def test_a_cable_that_is_cut(tmp_path: Path, feed: Path) -> None:
    with (
        cable() as (near, far),
        Ends(
            tmp_path,
            feed,
            receive=(*RECEIVE, "--plaintext-on-the-network"),
            send=("--codec", "sealed", *STALL),
            images=f"{far.address}:7601",
            captions=f"{far.address}:7602",
            near=near.command(),
            far=far.command(),
        ) as ends,
    ):
        receiver = ends.start_receiver()
        clients = start(ends, "--rate", RATE)
        until_delivered(ends.sink, SOME)
        subprocess.run(near.command("ip", "link", "set", "cable", "down"), check=True)
        until(lambda: "nothing ended for 2 s" in ends.said("send"), "the sender notices")
        subprocess.run(near.command("ip", "link", "set", "cable", "up"), check=True)
        assert_unharmed(ends, receiver, *clients)
