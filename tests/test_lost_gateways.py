"""Invariant: gateways that share the streams die in turn, and every stream ends at its own, whole."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self

import pytest

from cluster.trials.effects import as_sent, folder_deliveries, judge
from cluster.trials.feed import write_feed
from cluster.trials.processes import Program, address_of, reserved_port
from shared.wire.ownership import owner
from tests.processes import until

FRAMES, PAYLOAD_BYTES = 150, 500
#: Frames a second of each stream, so that a gateway is killed while frames flow; after so many.
RATE, SOME = 15, 10
GATEWAYS, STREAMS_EACH = 3, 2
#: Words come again with their publisher, however long a gateway takes to start.
WAIT = ("--caption-wait", "120")


@dataclass
class Gateway:
    """One of several, which keeps its ledger and its sink however often it is started.

    Attributes:
        others: the addresses of all, this one's with them.
    """

    folder: Path
    address: str
    others: list[str]
    _program: Program = field(init=False)

    @property
    def sink(self) -> Path:
        return self.folder / "sink"

    @property
    def ledger(self) -> Path:
        return self.folder / "state" / "ledger.sqlite"

    def start(self) -> Self:
        """Start it, for the first time or again."""
        self.folder.mkdir(exist_ok=True)
        where = ("--images", self.address, "--captions", self.address)
        ours = ("gateways=" + ",".join(self.others), f"self_address={self.address}")
        options = (*ours, "decoder=benchmark-echo", "commit_rows=8")
        places = ("--state", self.ledger.parent, "--sink", self.sink)
        sets = [word for option in options for word in ("--set", option)]
        log = self.folder / "receive.log"
        self._program = Program("receive", *where, *places, *WAIT, *sets, log=log)
        return self

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._program.kill()

    def drain(self) -> int:
        """Stop it in order; its exit code."""
        self._program.signal(signal.SIGTERM)
        return self._program.wait()

    def streams(self) -> set[str]:
        """Those that its ledger has ever heard of."""
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as database:
            return {stream for (stream,) in database.execute("SELECT stream_id FROM streams")}


def streams_of_each(addresses: list[str]) -> dict[str, list[str]]:
    """Streams by the gateway that owns them, as many for each."""
    found: dict[str, list[str]] = {address: [] for address in addresses}
    for number in count():
        own = found[owner(f"news-{number}", addresses)]
        if len(own) < STREAMS_EACH:
            own.append(f"news-{number}")
        if all(len(streams) == STREAMS_EACH for streams in found.values()):
            return found
    raise AssertionError


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[list[Gateway]]:
    with ExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in range(GATEWAYS)]
        addresses = [address_of(port) for port in ports]
        found = [
            Gateway(tmp_path / f"gateway{number}", address, addresses)
            for number, address in enumerate(addresses)
        ]
        try:
            yield [one.start() for one in found]
        finally:
            for one in found:
                one.kill()


def begun(stream: Path) -> bool:
    """Whether some pictures of a stream have come out."""
    return len(list(stream.glob("*.json"))) >= SOME


def test_each_of_three_gateways_is_killed_and_comes_back_with_all(
    gateways: list[Gateway], tmp_path: Path
) -> None:
    feed = tmp_path / "feed.parquet"
    write_feed(feed, FRAMES, PAYLOAD_BYTES)
    addresses = [one.address for one in gateways]
    owned = streams_of_each(addresses)
    senders: list[Program] = []
    try:
        for number, one in enumerate(gateways):
            # Every sender is given another gateway than its stream's, and asks that one after each break.
            asked = addresses[number - 1]
            for stream in owned[one.address]:
                where = ("--images", asked, "--captions", asked, "--rate", RATE, "--json")
                what = ("--feed", feed, "--codec", "sealed", "--stream", stream)
                state, log = tmp_path / stream, tmp_path / f"{stream}.log"
                senders.append(Program("send", *what, *where, "--state", state, log=log))
            # The streams of those before it flow on meanwhile.
            for stream in owned[one.address]:
                until(partial(begun, one.sink / stream), f"{stream} flows")
            one.kill()
            one.start()
        reports = [sender.line() for sender in senders]
        assert [sender.wait() for sender in senders] == [0] * len(senders)
    finally:
        for sender in senders:
            sender.kill()
    assert [one.drain() for one in gateways] == [0] * GATEWAYS

    # Each was cut off in the middle: its gateway's end was not that of the stream.
    assert min(report["connections"] for report in reports) > 1
    for one in gateways:
        assert one.streams() == set(owned[one.address])
        for stream in owned[one.address]:
            came_out = folder_deliveries(one.sink, stream)
            right = as_sent(PAYLOAD_BYTES)
            verdict = judge(came_out, one.ledger, FRAMES, right, stream=stream)
            assert verdict.flaws == {}
            assert verdict.dispositions == {"DECODED_WITH_TEXT": FRAMES}
