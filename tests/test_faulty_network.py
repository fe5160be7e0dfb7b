"""Invariant: through a network that does everything that networks do, everything arrives, once, unharmed."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cluster.benchmarks.effects import as_sent, folder_deliveries, judge
from cluster.benchmarks.processes import Ends, Program
from cluster.benchmarks.wire import write_feed
from tests.network.namespaces import Host, cable, why_impossible
from tests.network.proxy import CLEAR, FaultProxy, Faults
from tests.processes import delivered, until, until_delivered

FRAMES, PAYLOAD_BYTES = 150, 4000
#: Frames and captions a second where a fault is to come in mid-run, and after how many.
RATE, SOME = 100, 30
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
    with Ends(tmp_path, feed, send=("--codec", "sealed", *STALL)) as both:
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
    assert min(sender.line()["connections"], 5) == 5


def test_stalls(ends: Ends, lines: Lines) -> None:
    """Longer than a client waits: it gives the connection up, and what it sent comes all the same."""
    receiver = ends.start_receiver()
    clients = start(ends, "--rate", RATE)
    until_delivered(ends.sink, SOME)
    with lines.images.stalled(), lines.captions.stalled():
        until(lambda: "nothing ended for 2 s" in ends.said("send"), "the sender gives up")
    assert_unharmed(ends, receiver, *clients)


def test_flipped_bits(ends: Ends, lines: Lines) -> None:
    receiver = ends.start_receiver()
    lines.images.to_server = lines.images.to_client = Faults(flips=1e-5)
    lines.captions.to_server = lines.captions.to_client = Faults(flips=1e-4)
    sender, publisher = start(ends)
    starts = 0
    while (code := sender.wait()) != 0:
        starts += 1
        assert (code, starts < MOST_STARTS) == (REFUSED, True), ends.said("send")
        sender = ends.start_sender("--set", "expect_captions=true")
    print(starts, sender.line(), ends.said("send"), ends.said("receive"))
    while (code := publisher.wait()) != 0:
        assert code == REFUSED, ends.said("captions")
        publisher = ends.start_publisher(*STALL)
    print(publisher.line(), ends.said("captions"))
    assert_unharmed(ends, receiver, sender, publisher)


IMPOSSIBLE = why_impossible()


@pytest.mark.skipif(IMPOSSIBLE is not None, reason=str(IMPOSSIBLE))
def test_a_cable_that_is_cut(tmp_path: Path, feed: Path) -> None:
    with cable() as (near, far):
        plain = ("--plaintext-on-the-network",)
        with Ends(
            tmp_path,
            feed,
            receive=("--set", "decoder=benchmark-echo", "--plaintext-on-the-network"),
            send=("--codec", "sealed", *STALL),
            images=f"{far.address}:7601",
            captions=f"{far.address}:7602",
            near=near.command(),
            far=far.command(),
        ) as ends:
            receiver = ends.start_receiver()
            clients = start(ends, "--rate", RATE)
            until_delivered(ends.sink, SOME)
            subprocess.run(near.command("ip", "link", "set", "cable", "down"), check=True)
            until(lambda: "nothing ended for 2 s" in ends.said("send"), "the sender notices")
            subprocess.run(near.command("ip", "link", "set", "cable", "up"), check=True)
            assert_unharmed(ends, receiver, *clients)
