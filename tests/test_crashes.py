"""Invariant: whatever is killed or paused, at whatever moment, nothing is lost and nothing done twice.

A phase is reached when a process stops itself at a fail point. The target is then killed, the other
goes on, what was killed is started again, and ``send`` must end by itself. The judge reads what came
out: the sink's files, the ledger's rows, and the number in each payload.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.benchmarks.bounce import bounce
from cluster.trials.effects import Delivered, as_sent, folder_deliveries, judge
from cluster.trials.feed import write_feed
from cluster.trials.frames import frame, words
from cluster.trials.processes import Ends, Program, state_of
from shared.wire.v1.types_pb2 import Disposition
from tests.codecs import Whole
from tests.conftest import GOLDEN
from tests.numbered_pictures import of_its_width, write_numbered
from tests.patience import LATE_WINDOW
from tests.processes import children, until, until_paused

FRAMES, PAYLOAD_BYTES = 150, 600
#: For real decoders.
PICTURES = 60
PAUSE_SECONDS = 2.0

#: Phase to the process that reaches it and its fail point: some way into the run.
PHASES = {
    "before_send": ("sender", "sender.before_send:pause:40"),
    "after_receive": ("gateway", "gateway.after_receive:pause:40"),
    "after_output": ("gateway", "gateway.after_output:pause:4"),
    "after_commit": ("gateway", "gateway.after_commit:pause:4"),
}
OPTIONS = ("--set", "commit_rows=8", "--caption-wait", "0.5", *LATE_WINDOW)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Containers that carry their number."""
    path = tmp_path_factory.mktemp("feeds") / "sealed.parquet"
    write_feed(path, FRAMES, PAYLOAD_BYTES)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, golden_codec: Whole) -> Path:
    """Containers of real pictures, each of another width."""
    path = tmp_path_factory.mktemp("feeds") / "pictures.parquet"
    return write_numbered(path, PICTURES, lambda picture: golden_codec.encode(picture, 0).blob)


@pytest.fixture
def ends(tmp_path: Path, sealed: Path) -> Iterator[Ends]:
    """Both ends, with decoders that hand containers on."""
    echo = ("--set", "decoder=benchmark-echo")
    with Ends(tmp_path, sealed, receive=(*OPTIONS, *echo)) as both:
        yield both


@pytest.fixture
def decoding(tmp_path: Path, pictures: Path) -> Iterator[Ends]:
    """Both ends, with one real decoder."""
    real = ("--bundle", GOLDEN / "bundle", "--set", "decoder_processes=1")
    with Ends(tmp_path, pictures, receive=(*OPTIONS, *real)) as both:
        yield both


class Run:
    """Both ends on their way, one of them with a fail point."""

    def __init__(self, ends: Ends, who: str, fault: str) -> None:
        self.ends = ends
        faults = {"gateway": "", "sender": ""} | {who: fault}
        self.gateway = ends.start_receiver(fault=faults["gateway"])
        self.sender = ends.start_sender(captions=True, fault=faults["sender"])
        self._faulty = self.gateway if who == "gateway" else self.sender

    def until_paused(self) -> None:
        """Wait until the process with the fail point has stopped itself there."""
        until_paused(self._faulty)

    def go_on(self) -> None:
        """Let it go on, if it lives."""
        self._faulty.signal(signal.SIGCONT)

    def restart(self, who: str) -> None:
        """Start an end again, without a fail point."""
        if who == "gateway":
            self.gateway = self.ends.start_receiver()
        else:
            self.sender = self.ends.start_sender(captions=True)

    def finish(self) -> None:
        """Wait for the sender's own end, then drain the gateway."""
        assert self.sender.wait() == 0, self.ends.said("send")
        self.gateway.signal(signal.SIGTERM)
        assert self.gateway.wait() == 0, self.ends.said("receive")

    def assert_exactly_once(self, frames: int, right: Callable[[Delivered], bool]) -> None:
        """Finish, and judge."""
        self.finish()
        verdict = judge(folder_deliveries(self.ends.sink), self.ends.ledger, frames, right)
        assert verdict.flaws == {}
        assert verdict.wordless == []


def decoder_of(gateway: Program) -> int:
    """The one decoder's process id."""
    (pid,) = children(gateway.pid)
    return pid


def gone(pid: int) -> bool:
    return state_of(pid) in ("", "Z")


@pytest.mark.parametrize("target", ["sender", "gateway"])
@pytest.mark.parametrize("phase", PHASES)
def test_an_end_is_killed(ends: Ends, target: str, phase: str) -> None:
    run = Run(ends, *PHASES[phase])
    run.until_paused()
    (run.gateway if target == "gateway" else run.sender).kill()
    run.go_on()
    run.restart(target)
    run.assert_exactly_once(FRAMES, as_sent(PAYLOAD_BYTES))


@pytest.mark.parametrize("phase", PHASES)
def test_a_decoder_is_killed(decoding: Ends, phase: str) -> None:
    run = Run(decoding, *PHASES[phase])
    run.until_paused()
    victim = decoder_of(run.gateway)
    os.kill(victim, signal.SIGKILL)
    run.go_on()
    run.assert_exactly_once(PICTURES, of_its_width)


def test_the_gateway_is_killed_over_a_decoder_at_work(decoding: Ends) -> None:
    run = Run(decoding, "gateway", "decoder.frame-30:pause")
    run.gateway.line()
    decoder = decoder_of(run.gateway)
    until(lambda: state_of(decoder) == "T", "the decoder stops itself")
    run.gateway.kill()
    until(lambda: gone(decoder), "the decoder ends with its gateway")
    run.restart("gateway")
    run.assert_exactly_once(PICTURES, of_its_width)


@pytest.mark.parametrize("who", ["sender", "gateway"])
def test_an_end_pauses(ends: Ends, who: str) -> None:
    run = Run(ends, *PHASES["before_send" if who == "sender" else "after_output"])
    run.until_paused()
    time.sleep(PAUSE_SECONDS)  # the fault itself: nothing happens meanwhile that could be awaited
    run.go_on()
    run.assert_exactly_once(FRAMES, as_sent(PAYLOAD_BYTES))


def test_a_decoder_pauses(decoding: Ends) -> None:
    run = Run(decoding, "gateway", "decoder.frame-30:pause")
    run.gateway.line()
    decoder = decoder_of(run.gateway)
    until(lambda: state_of(decoder) == "T", "the decoder stops itself")
    time.sleep(PAUSE_SECONDS)
    os.kill(decoder, signal.SIGCONT)
    run.assert_exactly_once(PICTURES, of_its_width)


@pytest.mark.parametrize("phase", ["before_send", "after_send"])
def test_a_caption_publisher_is_killed(ends: Ends, phase: str) -> None:
    gateway = ends.start_receiver()
    sender = ends.start_sender("--set", "expect_captions=true")
    publisher = ends.start_publisher(fault=f"publisher.{phase}:pause:40")
    until_paused(publisher)
    publisher.kill()
    assert ends.start_publisher().wait() == 0, ends.said("captions")
    assert sender.wait() == 0, ends.said("send")
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    right = as_sent(PAYLOAD_BYTES)
    verdict = judge(folder_deliveries(ends.sink), ends.ledger, FRAMES, right)
    assert (verdict.flaws, verdict.wordless) == ({}, [])


def test_a_killed_sender_takes_its_caption_publisher_along(ends: Ends) -> None:
    """One that stayed would take the caption channel from the next sender's."""
    run = Run(ends, "sender", "sender.before_send:pause:40")
    run.until_paused()
    family = children(run.sender.pid)
    assert family
    run.sender.kill()
    until(lambda: all(map(gone, family)), "the publisher ends with its sender")
    run.restart("sender")
    run.assert_exactly_once(FRAMES, as_sent(PAYLOAD_BYTES))


def test_everybody_is_bounced_at_random(tmp_path: Path) -> None:
    bounced = bounce(tmp_path, frames=600, rate=150, seed=1)
    assert bounced.kills.total() >= 2
    assert bounced.verdict.flaws == {}
    assert bounced.verdict.wordless == []


# The judge itself

SMALL = 100
SOUND = [
    Delivered((1, 0, 0), "DECODED_NO_TEXT", "frame-0", None, frame(0, SMALL).container),
    Delivered((1, 0, 1), "DECODED_TEXT_LATE", "frame-0", words(0).text, frame(0, SMALL).container),
    Delivered((1, 1, 1), "DECODED_WITH_TEXT", "frame-1", words(1).text, frame(1, SMALL).container),
]
EXTRA = Delivered((1, 1, 0), "DECODED_NO_TEXT", "frame-1", None, frame(1, SMALL).container)


@pytest.mark.parametrize(
    ("came_out", "flaws"),
    [
        (SOUND, {}),
        (SOUND[:2], {"lost": [1], "undelivered": [(1, 1, 1)]}),
        ([*SOUND, SOUND[2]], {"applied_twice": [1], "unrecorded": [(1, 1, 1)]}),
        ([*SOUND, EXTRA], {"applied_twice": [1], "unrecorded": [(1, 1, 0)]}),
        ([*SOUND[:2], replace(SOUND[2], picture=SOUND[0].picture)], {"damaged": [(1, 1, 1)]}),
        ([*SOUND[:2], replace(SOUND[2], caption="other words")], {"damaged": [(1, 1, 1)]}),
    ],
    ids=["sound", "lost", "twice", "two firsts", "another picture", "another caption"],
)
def test_the_judge_sees(
    tmp_path: Path, came_out: list[Delivered], flaws: dict[str, object]
) -> None:
    ledger = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(ledger)) as database, database:
        database.execute(
            "CREATE TABLE ends (stream_id, epoch, seq, revision, disposition, frame_ended, reason)"
        )
        rows = [
            (*one.key, Disposition.Value(f"DISPOSITION_{one.disposition}"), True) for one in SOUND
        ]
        database.executemany("INSERT INTO ends VALUES ('feed',?,?,?,?,?,'')", rows)
    assert judge(came_out, ledger, 2, as_sent(SMALL)).flaws == flaws
