"""Invariant: on hosts far apart, nothing is lost with the only one that decodes, and one that joins goes on.

Four network namespaces stand for hosts: the gateway's, which is the head of the Ray cluster, two with
decoders, and the senders'. Each has Ray's folder for itself. A switch between them delays every packet and
loses some. Ray has its own TLS and its token, the wire TLS and a sender's token; all is started by the
commands that operators use.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
import trustme
import yaml

from cluster.trials.effects import folder_deliveries, judge
from cluster.trials.processes import Ends
from tests.codecs import Whole
from tests.conftest import GOLDEN
from tests.network.namespaces import Host
from tests.network.switch import Switch, switched, why_no_switch
from tests.numbered_pictures import of_its_width, write_numbered
from tests.processes import delivered, until_delivered
from tests.ray_nodes import kill_node, start_node

pytest.importorskip("ray")

#: Half of a round trip, and the share of packets that never arrive, in each direction.
DELAY, LOSS = 0.025, 0.01
PICTURES = 160
#: Pictures a second, so that they flow while a host joins; and after how many one is lost.
RATE, SOME = 4, 8
#: A dead host is found out within some ten seconds; by default Ray takes more than a minute.
HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


@dataclass
class Machine:
    """A host with a folder of its own where Ray keeps its sockets and logs.

    Attributes:
        place: where every host has that folder.
    """

    host: Host
    home: Path
    place: Path
    environment: Mapping[str, str]
    _node: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def command(self, *words: object) -> list[str]:
        """Words as a command that runs on this host."""
        own = 'mount --bind "$0" "$1" && shift && exec "$@"'
        return self.host.command("sh", "-c", own, self.home, self.place, *words)

    def start(self, *options: str) -> None:
        """Start a node of Ray here, and wait until it runs."""
        self._node = start_node(
            self.host.address,
            *options,
            home=self.home,
            before=self.command(),
            environment=self.environment,
        )

    def stop(self) -> None:
        """Kill all that runs there."""
        if self._node is not None:
            kill_node(self._node)
        pids = subprocess.run(
            ["ip", "netns", "pids", self.host.name], capture_output=True, text=True, check=True
        )
        for pid in pids.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@dataclass
class Place:
    """Four machines on one network, and files that they all read."""

    switch: Switch
    machines: list[Machine]
    files: Path


@pytest.fixture
def secured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Certificates and tokens, and in the environment what Ray is to do with them."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    addresses = [f"198.51.100.{number}" for number in range(1, 5)]
    server = authority.issue_cert("127.0.0.1", "localhost", *addresses)
    server.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    for blob in server.cert_chain_pems:
        blob.write_to_path(str(tmp_path / "server.pem"), append=True)
    (tmp_path / "tokens.yaml").write_text(yaml.safe_dump([{"sender": "desk", "token": "secret"}]))
    (tmp_path / "desk.token").write_text("secret")
    settings = {
        "RAY_ADDRESS": "",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USE_TLS": "1",
        "RAY_TLS_CA_CERT": str(tmp_path / "ca.pem"),
        "RAY_TLS_SERVER_CERT": str(tmp_path / "server.pem"),
        "RAY_TLS_SERVER_KEY": str(tmp_path / "server.key"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }
    for name, value in (settings | HEALTH).items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def place(secured: Path) -> Iterator[Place]:
    if reason := why_no_switch():
        pytest.skip(reason)
    # Not below a test's folder: sockets have short paths.
    with (
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as ray,
        switched(4, DELAY, LOSS, seed=1) as switch,
    ):
        machines = []
        for host in switch.hosts:
            home = secured / host.name
            home.mkdir()
            machines.append(Machine(host, home, Path(ray), dict(os.environ)))
        try:
            yield Place(switch, machines, secured)
        finally:
            for machine in machines:
                machine.stop()


@dataclass(frozen=True)
class Figures:
    """What a run took.

    Attributes:
        cluster_seconds: until the head and the first host with a decoder had started.
        join_seconds: from the loss of the first host until the other one had started.
        resume_seconds: from then until a picture was decoded there.
        seconds: from the sender's start until it had all acks.
        longest_silence: seconds between two pictures that were decoded one after the other.
        resent: messages that the wire sent again; TCP's own are its own.
        packets, lost_packets: that the switch carried and lost.
    """

    pictures: int
    cluster_seconds: float
    join_seconds: float
    resume_seconds: float
    seconds: float
    longest_silence: float
    resent: int
    packets: int
    lost_packets: int


def longest_silence(sink: Path) -> float:
    facts = [json.loads(path.read_text()) for path in sink.glob("*/*.json")]
    moments = sorted(
        datetime.fromisoformat(one["decoded_at"]) for one in facts if one["decoded_at"]
    )
    return max((later - sooner).total_seconds() for sooner, later in pairwise(moments))


def both_ends(place: Place, golden_codec: Whole, cluster: str) -> Ends:
    """The gateway beside the head of the cluster, and senders on a host of their own."""
    files, head, desk = place.files, place.machines[0], place.machines[-1]
    feed = files / "pictures.parquet"
    write_numbered(feed, PICTURES, lambda picture: golden_codec.encode(picture, 0).blob)
    tls = ("--tls-cert", files / "server.pem", "--tls-key", files / "server.key")
    decoders = ("--bundle", GOLDEN / "bundle", "--set", "decoder_processes=2")
    known = ("--tls-ca", files / "ca.pem", "--token-file", files / "desk.token")
    ray = ("--decoder", "ray", "--ray-address", cluster)
    return Ends(
        files,
        feed,
        receive=(*tls, "--tokens", files / "tokens.yaml", *ray, *decoders),
        send=("--codec", "sealed", "--rate", RATE, *known),
        images=f"{head.host.address}:7601",
        captions=f"{head.host.address}:7602",
        near=desk.command(),
        far=head.command(),
    )


def test_the_only_host_that_decodes_is_lost_and_another_joins(
    place: Place, golden_codec: Whole
) -> None:
    head, first, second, _ = place.machines
    cluster = f"{head.host.address}:6379"
    join = (f"--address={cluster}", "--num-cpus=1")
    began = time.monotonic()
    here = ("--port=6379", f"--temp-dir={head.place}", "--include-dashboard=false")
    head.start("--head", *here, "--num-cpus=0")
    first.start(*join)
    cluster_seconds = time.monotonic() - began

    with both_ends(place, golden_codec, cluster) as ends:
        receiver = ends.start_receiver()
        assert receiver.line()["ready"]
        began = time.monotonic()
        sender = ends.start_sender(captions=True)
        until_delivered(ends.sink, SOME)
        place.switch.cut(first.host)
        lost = time.monotonic()
        second.start(*join)
        joined = time.monotonic()
        assert sender.running, "all was sent before a host was lost: RATE is too high"
        until_delivered(ends.sink, delivered(ends.sink) + 1)
        resumed = time.monotonic()
        assert sender.wait() == 0, ends.said("send")
        seconds = time.monotonic() - began
        receiver.signal(signal.SIGTERM)
        assert receiver.wait() == 0, ends.said("receive")
        verdict = judge(folder_deliveries(ends.sink), ends.ledger, PICTURES, of_its_width)
        assert (verdict.flaws, verdict.wordless) == ({}, [])
        assert verdict.dispositions["DECODED_NO_TEXT"] == PICTURES
    figures = Figures(
        PICTURES,
        cluster_seconds,
        joined - lost,
        resumed - joined,
        seconds,
        longest_silence(ends.sink),
        sender.line()["resent"],
        place.switch.carried,
        place.switch.lost,
    )
    print(json.dumps(asdict(figures)))
    assert 0.5 * LOSS < figures.lost_packets / figures.packets < 2 * LOSS
