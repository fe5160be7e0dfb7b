"""Load senders on a Ray cluster: clocks, and ``sidewire bench`` on two nodes from end to end."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.bench.clocks import ClockOffset, RoundTrip
from cluster.bench.load import SentFrame
from cluster.bench.options import BenchOptions
from cluster.bench.remote_senders import LoadPart
from cluster.bench.sender_process import CaptionPlan, SendPlan, SendReport
from cluster.bench.usage import descendants, seen_processes
from cluster.trials.processes import command
from sender.settings import CaptionSettings
from shared.errors import LimitError
from shared.settings import SettingsError
from tests.patience import PATIENCE
from tests.processes import existing, until
from tests.ray_nodes import NotStartedError, kill_node, until_started

ROWS, WARMUP, SENDERS = 8, 2, 2

# Clocks

SECONDS = st.floats(-1e6, 1e6)
DELAYS = st.floats(0, 10)


@given(SECONDS, st.lists(st.tuples(DELAYS, DELAYS), min_size=1))
def test_an_offset_is_wrong_by_no_more_than_it_says(
    offset: float, ways: list[tuple[float, float]]
) -> None:
    """Whatever the ways there and back take."""
    trips = [RoundTrip(0.0, there + offset, there + back) for there, back in ways]
    found = ClockOffset.of(trips)
    assert abs(found.seconds - offset) <= found.uncertainty + 1e-6
    assert found.uncertainty == min(there + back for there, back in ways) / 2


MOMENTS = st.lists(st.none() | SECONDS, min_size=4, max_size=4)


@given(SECONDS, st.lists(st.tuples(SECONDS, MOMENTS)))
def test_moments_come_back_from_another_clock(
    offset: float, frames: list[tuple[float, Sequence[float | None]]]
) -> None:
    sent = [
        SentFrame(seq, due, 0.25, encoding, encoded, 10, sent, ended, "REJECTED")
        for seq, (due, (encoding, encoded, sent, ended)) in enumerate(frames)
    ]
    report = SendReport(sent, ["late"], 1, 2, [0.5])
    there = report.moved(offset)
    back = there.moved(-offset)
    for frame, moved, same in zip(sent, there.frames, back.frames, strict=True):
        assert moved.due == frame.due + offset
        for name in ("due", "encoding", "encoded", "sent", "ended"):
            assert getattr(same, name) == pytest.approx(getattr(frame, name), abs=1e-6)
        assert (moved.lag, moved.bytes, moved.disposition) == (0.25, 10, "REJECTED")
    assert (back.failed, back.resent, back.stalls) == (["late"], 1, [0.5])


@given(SECONDS, SECONDS)
def test_plans_begin_by_the_other_clock(start: float, offset: float) -> None:
    plan = SendPlan("bench", 2, start, [0.0, 1.0], 3)
    assert plan.moved(offset) == SendPlan("bench", 2, start + offset, [0.0, 1.0], 3)
    captions = CaptionPlan(CaptionSettings(feed="feed.parquet", to="127.0.0.1:1"), start, [0.5])
    assert captions.moved(offset) == CaptionPlan(captions.settings, start + offset, [0.5])


# A part of the load, without Ray


def build_reader(refused: bool, feed: Path) -> tuple[str, Callable[[int], bytes]]:
    """What reads a byte of its feed."""
    if refused:
        raise LimitError("feed", 2, 1)
    return str(feed), lambda at: feed.read_bytes()[at : at + 1]


def test_a_part_has_a_feed_and_a_folder_of_its_own() -> None:
    async def scenario() -> None:
        part = LoadPart[str, int, bytes]("reader")
        started = await part.start(partial(build_reader, False), b"abc")
        assert not isinstance(started, Exception)
        assert started.sees == seen_processes()
        assert (await part.ask(1), await part.ask(2)) == (b"b", b"c")
        await part.close()
        assert not Path(started.ready).parent.exists()
        assert not Path(f"/proc/{started.pid}").exists()

    asyncio.run(scenario())


def test_a_part_returns_what_refuses_to_be_built() -> None:
    async def scenario() -> None:
        part = LoadPart[str, int, bytes]("reader")
        answer = await part.start(partial(build_reader, True), b"abc")
        assert isinstance(answer, LimitError)
        await part.close()

    asyncio.run(scenario())


def test_senders_on_ray_need_decoders_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="decoder is processes, must be ray"):
        BenchOptions.load({"out": tmp_path, "sender_kind": "ray"})
    assert BenchOptions(out=tmp_path, sender_kind="ray", decoder="ray")


# On two nodes

#: A process of its own, as Ray keeps one cluster and one token for all of a process's life.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
node = {"num_cpus": 2, "object_store_memory": 100 << 20}
cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
cluster.add_node(**node)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


def is_sender(pid: int) -> bool:
    """Whether it is an actor's process; what has ended meanwhile is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::LoadPart")
    except OSError:
        return False


class TwoNodes:
    """A cluster that runs, and what ``sidewire bench`` needs to reach it.

    Args:
        folder: for temporary files of the cluster and of all runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "RAY_prestart_worker_first_driver": "0",
            "TMPDIR": str(folder),
            # Its sockets must have short names.
            "RAY_TMPDIR": tempfile.gettempdir(),
        }
        self.process, self.address = until_started(self._start)

    def _start(self) -> tuple[subprocess.Popen[str], str]:
        """Its process and its address."""
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            kill_node(process)
            raise NotStartedError("the cluster did not start")
        return process, address

    def bench(self, out: Path, *words: object) -> subprocess.Popen[str]:
        """Senders and decoders on the cluster, and small pictures."""
        where = ("--ray-address", self.address, "--decoder", "ray", "--sender-kind", "ray")
        what = ("--generator", "none", "--size", "128x96", "--encoders", 1, "--no-references")
        load = ("--senders", SENDERS, "--warmup", WARMUP, "--frames", ROWS - WARMUP)
        once = ("--repeats", 1, "--most-repeats", 1)
        return subprocess.Popen(
            command("bench", "--out", out, *where, *what, *load, *once, *words),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self.environment,
            text=True,
        )

    def senders(self) -> list[int]:
        """Processes of the actors."""
        return [pid for pid in descendants(self.process.pid) if is_sender(pid)]

    def stop(self) -> None:
        self.process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    nodes = TwoNodes(tmp_path_factory.mktemp("temporary"))
    try:
        yield nodes
    finally:
        nodes.stop()


@pytest.mark.timeout(4 * PATIENCE)
def test_senders_on_two_nodes_lose_nothing_and_keep_time(
    tmp_path: Path, two_nodes: TwoNodes
) -> None:
    run = two_nodes.bench(tmp_path, "--under-way", WARMUP)
    # A dozen processes begin, one after the other, and then 32 pictures go through them.
    _, said = run.communicate(timeout=3 * PATIENCE)
    assert run.returncode == 0, said
    summary: dict[str, Any] = json.loads((tmp_path / "summary.json").read_text())
    (point,) = summary["points"]
    assert summary["options"]["sender_kind"] == "ray"
    assert point["sender_nodes"] == 2
    # The generator reads no words.
    assert point["dispositions"] == {"DECODED_NO_TEXT": ROWS * SENDERS}
    assert point["captions"] == {"NOTED": ROWS * SENDERS}
    assert (point["duplicates"], point["failed"]) == (0, 0)
    assert point["cores"]["encoders"] > 0
    unsure = point["clock_uncertainty_ms"] / 1000
    assert 0 < unsure < 1
    assert "their clocks are known to" in (tmp_path / "index.html").read_text()

    rows = pq.read_table(tmp_path / "frames.parquet").to_pylist()
    assert len({(row["sender"], row["seq"]) for row in rows}) == len(rows) == ROWS * SENDERS
    for row in rows:
        by_the_sender = ("due_s", "encoding_s", "encoded_s", "sent_s", "ended_s")
        moments = [row[name] for name in by_the_sender]
        assert moments == sorted(moments), row
        assert row["due_s"] >= -unsure
        assert row["encoded_s"] <= row["arrived_s"] + unsure
        assert row["committed_s"] <= row["ended_s"] + unsure
    until(lambda: two_nodes.senders() == [], "Ray ends the actors")
    assert list(two_nodes.folder.glob("sidewire-*")) == []


def test_a_sender_that_dies_ends_the_run_with_one_line(tmp_path: Path, two_nodes: TwoNodes) -> None:
    run = two_nodes.bench(tmp_path, "--rate", 0.1, "--no-captions")
    assert run.stderr is not None
    while "warming up" not in (line := run.stderr.readline()):
        assert line, "it ended before"
    first, second = two_nodes.senders()
    os.kill(first, signal.SIGKILL)
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 1
    (line,) = said.strip().splitlines()
    assert line.startswith("sidewire: the load sender ")
    assert line.endswith(" ended: The actor is dead because its worker process has died")
    until(lambda: existing([second]) == [], "Ray ends the other actor")
