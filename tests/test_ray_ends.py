"""Invariant: a receiver whose Ray ends, is missing or too small says so, loses nothing, can be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cluster.actors.runtime import STARTS, ClusterError, Connection
from cluster.trials.effects import folder_deliveries, judge
from cluster.trials.processes import Ends, Program, command
from shared.bundle import shipped_bundle
from shared.codecs import get_codec
from shared.wire.v1 import control_pb2, control_pb2_grpc
from tests.numbered_pictures import of_its_width, write_numbered
from tests.patience import PATIENCE
from tests.processes import children, until, until_delivered
from tests.ray_nodes import kill_node, start_node

pytest.importorskip("ray")

PICTURES = 30
#: One model, and none that reads words: what decoders load is not what is tried here.
RAY = (
    *("--decoder", "ray", "--bundle", shipped_bundle("none")),
    *("--set", "mode=refine", "--set", "drain_seconds=3600"),
)
#: No other cluster of this machine is asked.
ADDRESSES = {
    "RAY_ADDRESS": "",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",
}


@pytest.fixture(scope="module", autouse=True)
def apart() -> Iterator[None]:
    """What other Ray clusters of this machine are called does not matter here."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in ADDRESSES.items():
            environment.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Containers of real pictures, each of another width."""
    codec, path = get_codec("none"), tmp_path_factory.mktemp("feeds") / "pictures.parquet"
    return write_numbered(path, PICTURES, lambda picture: codec.encode(picture, 0).blob)


def assert_all_delivered(ends: Ends) -> None:
    """Every picture of the feed, once."""
    verdict = judge(folder_deliveries(ends.sink), ends.ledger, PICTURES, of_its_width)
    assert verdict.flaws == {}


# Looking


def trouble(ends: Ends) -> str:
    """What the receiver says of itself."""
    with grpc.insecure_channel(ends.images) as channel:
        control = control_pb2_grpc.ControlServiceStub(channel)
        answer = control.ListSessions(control_pb2.ListSessionsRequest(), timeout=PATIENCE)
    return str(answer.trouble)


def serving(ends: Ends) -> bool:
    with grpc.insecure_channel(ends.images) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
    return bool(answer.status == answer.SERVING)


def descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from descendants(child)


def kill(pid: int, name: str) -> None:
    """SIGKILL for the process of that name below another."""
    for one in descendants(pid):
        if Path(f"/proc/{one}/comm").read_text().strip() == name:
            os.kill(one, signal.SIGKILL)
            return
    raise AssertionError(f"no process {name} below {pid}")


def assert_soon_over(receiver: Program) -> None:
    """SIGTERM ends it, without the hour that a drain may take here."""
    receiver.signal(signal.SIGTERM)
    assert receiver.wait(PATIENCE) in (0, 4)


def says(ends: Ends, what: str) -> None:
    """Wait until the receiver has logged something."""
    until(lambda: what in ends.said("receive"), f"the receiver says {what!r}")


# A cluster inside the receiver


def test_cluster_inside_the_receiver_starts_again(tmp_path: Path, feed: Path) -> None:
    options = (*RAY, "--set", "decoder_processes=1")
    with Ends(tmp_path, feed, receive=options) as ends:
        receiver = ends.start_receiver()
        assert receiver.line()["ready"]
        assert serving(ends)
        sender = ends.start_sender("--set", "rate=5")
        until_delivered(ends.sink, 3)
        kill(receiver.pid, "raylet")
        until(lambda: "raylet" in trouble(ends), "the receiver is in trouble")
        until(lambda: not serving(ends), "it does not serve")
        assert sender.wait(PATIENCE) == 0, ends.said("receive")
        assert_all_delivered(ends)
        assert trouble(ends) == ""
        until(lambda: serving(ends), "it serves again")
        # Told to stop while it starts the next one, it stops in order.
        kill(receiver.pid, "raylet")
        until(lambda: "raylet" in trouble(ends), "the receiver is in trouble")
        assert_soon_over(receiver)
        assert "drained" in ends.said("receive")


# A cluster of others


#: Where a head leaves its address, in its folder for temporary files.
ADDRESS = "ray_current_cluster"


class Cluster:
    """``ray start`` in process groups of their own, at a port that Ray has found."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._groups: list[subprocess.Popen[bytes]] = []
        # Its page for people would be ten processes, and is not looked at.
        head = ("--head", "--port=0", "--num-cpus=0", "--include-dashboard=false")
        self.head = self._start(*head, f"--temp-dir={folder}")
        # It is left there a moment after the head has said that it runs.
        place = Path(folder, ADDRESS)
        until(lambda: place.exists() and place.read_text() != "", "the head's address")
        self.address = place.read_text()

    def add_node(self, cpus: int) -> None:
        """A worker node."""
        self._start(f"--address={self.address}", f"--num-cpus={cpus}")

    def stop(self) -> None:
        """Kill it all."""
        for group in self._groups:
            kill_node(group)

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        home = tempfile.mkdtemp(prefix="node-", dir=self._folder)
        group = start_node("127.0.0.1", *options, home=Path(home))
        self._groups.append(group)
        return group


@contextmanager
def cluster() -> Iterator[Cluster]:
    # Not below a test's folder: sockets have short paths.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as home:
        found = Cluster(home)
        try:
            yield found
        finally:
            found.stop()


def decoders(found: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    """``sidewire decoders``, which ends by itself."""
    return subprocess.run(
        command("decoders", *words, "--ray-address", found.address),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_cluster_that_is_small_grows_is_stopped_and_dies(tmp_path: Path, feed: Path) -> None:
    with cluster() as found:
        options = (*RAY, "--ray-address", found.address, "--set", "decoder_processes=2")
        with Ends(tmp_path, feed, receive=options) as ends:
            # No node yet: the receiver waits, says so, and can be stopped.
            receiver = ends.start_receiver()
            says(ends, "waiting until a decoder has room: the Ray cluster has 0 CPUs")
            assert_soon_over(receiver)
            # It begins with one decoder of two, and grows.
            receiver = ends.start_receiver()
            found.add_node(1)
            assert receiver.line()["ready"]
            says(ends, "1 of 2 decoders (decoder_processes) run, the others start as there is room")
            found.add_node(1)
            says(ends, "2 decoders run")
            refused = decoders(found, "scale", "9")
            assert refused.returncode == 1
            why = "the Ray cluster has 2 CPUs, and each decoder takes one"
            assert refused.stderr.strip() == f"sidewire: decoders is 9, must be at most 2: {why}"
            # Somebody stops them: the receiver ends, and says why.
            sender = ends.start_sender("--set", "rate=2")
            until_delivered(ends.sink, 3)
            assert decoders(found, "stop").returncode == 0
            until(lambda: "decoders stop" in trouble(ends), "the receiver is in trouble")
            until(lambda: not serving(ends), "it does not serve")
            assert receiver.wait(PATIENCE) == 1
            assert "sidewire: no decoders: the decoders were stopped" in ends.said("receive")
            # Started again it has them again, and the head dies under it.
            receiver = ends.start_receiver()
            assert receiver.line()["ready"]
            assert sender.wait(PATIENCE) == 0
            assert_all_delivered(ends)
            kill(found.head.pid, "gcs_server")
            until(lambda: "is gone" in trouble(ends), "the receiver is in trouble")
            until(lambda: not serving(ends), "it does not serve")
            assert_soon_over(receiver)


# No cluster


def said_of_a_dead_port(*words: str) -> None:
    done = subprocess.run(
        command(*words, "--ray-address", "127.0.0.1:9"),
        capture_output=True,
        text=True,
        timeout=150,  # Ray itself would ask for more than three minutes
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("sidewire: no Ray cluster at ray_address '127.0.0.1:9': nothing answers")


def test_nothing_at_the_address_is_said_at_once(tmp_path: Path) -> None:
    said_of_a_dead_port("decoders", "status")
    folders = ("--state", str(tmp_path / "state"), "--sink", str(tmp_path / "sink"))
    said_of_a_dead_port("receive", "--decoder", "ray", *folders)


def test_socket_path_that_is_too_long_is_said_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("folder-" * 20)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    folders = ("--state", str(tmp_path / "state"), "--sink", str(tmp_path / "sink"))
    done = subprocess.run(
        command("receive", "--decoder", "ray", *folders),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("sidewire: cannot start Ray: ")
    assert "set RAY_TMPDIR" in line


class Late(Connection):
    """One whose first starts fail; no cluster is started."""

    def __init__(self, *said: str) -> None:
        super().__init__("", "late", 1)
        self.said, self.tries = said, 0

    def _init(self) -> None:
        self.tries += 1
        if self.tries <= len(self.said):
            raise ClusterError(self.said[self.tries - 1])


def test_a_start_that_was_too_slow_is_tried_again_and_no_other() -> None:
    busy = "cannot start Ray: The current node timed out during startup."
    late, hopeless = Late(busy, busy), Late(*STARTS * [busy])
    other = Late("no room for its store")
    late.start()
    assert late.tries == 3
    with pytest.raises(ClusterError, match="timed out during startup"):
        hopeless.start()
    with pytest.raises(ClusterError, match="no room"):
        other.start()
    assert (hopeless.tries, other.tries) == (STARTS, 1)
    # One that has ended is started again whatever is said.
    again = Late("no room for its store")
    again.restart().result()
    assert again.tries == 2
