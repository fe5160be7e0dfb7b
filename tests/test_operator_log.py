"""What a receiver tells its operator: how it starts, whom it refuses, and what it did in the last minute."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from cluster.trials.feed import write_feed
from cluster.trials.processes import Program, command
from receiver.handshakes import refusal_of
from receiver.observer import Observers
from receiver.refusals import QUIET_SECONDS, Kind, Refusal, RefusalLog, Scope
from receiver.tallies import Tallies
from receiver.totals import Totals
from shared.wire.channels import client_channel
from shared.wire.errors import Reason, WireError
from shared.wire.security import ClientSecurity
from shared.wire.v1 import control_pb2, control_pb2_grpc
from tests.keys import Keys, make_keys, write_tokens
from tests.patience import PATIENCE
from tests.processes import until
from tests.wire_client import CAPTIONS, IMAGES, good, receiving


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@dataclass
class Running:
    """A receiver as its operator sees it."""

    program: Program
    images: str
    captions: str
    log: Path

    @property
    def lines(self) -> list[str]:
        """What it has said so far."""
        return self.log.read_text().splitlines()

    def says(self, text: str) -> None:
        """Wait until a line has this in it."""
        until(lambda: any(re.search(text, line) for line in self.lines), f"{text} in {self.log}")


@contextmanager
def running(folder: Path, *words: object) -> Iterator[Running]:
    log = folder / "receive.log"
    where = ("--images", "127.0.0.1:0", "--captions", "127.0.0.1:0", "--state", folder / "state")
    sink = ("--sink", folder / "sink", "--set", "decoder=benchmark-echo")
    program = Program("receive", *where, *sink, *words, log=log)
    try:
        ready = program.line()
        yield Running(program, ready["images"], ready["captions"], log)
        program.signal(signal.SIGTERM)
        assert program.wait() == 0, log.read_text()
    finally:
        program.kill()


def test_it_says_what_it_does_while_it_starts(tmp_path: Path) -> None:
    with running(tmp_path) as receiver:
        # What is said comes through a pipe, and may come after the address on standard output.
        place = f"listening for pictures on {receiver.images} and captions on {receiver.captions}"
        receiver.says(re.escape(f"{place}, in plaintext"))
        text = "\n".join(receiver.lines)
        assert f"ledger {tmp_path}/state/ledger.sqlite knows 0 streams" in text
        assert f"pictures go to sink folder {tmp_path}/sink" in text
        assert re.search(r"starting \d+ decoders", text)
        assert re.search(r"(\d+) of \1 decoders are ready", text)


def test_sighup_is_no_end_where_there_is_nothing_to_read_again(tmp_path: Path) -> None:
    with running(tmp_path) as receiver:
        receiver.program.signal(signal.SIGHUP)
        receiver.says("there are no certificates and tokens to read again")
        assert receiver.program.running


def test_lines_are_objects_where_a_program_reads_them(tmp_path: Path) -> None:
    write_feed(tmp_path / "feed.parquet", rows=2, payload_bytes=50)
    with running(tmp_path, "--log-format", "json") as receiver:
        pass
    found = [json.loads(line) for line in receiver.lines]
    assert all(one.keys() == {"time", "level", "logger", "message"} for one in found)
    assert {one["level"] for one in found} == {"info"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found[0]["time"])
    assert any("listening for pictures" in one["message"] for one in found)
    feed = ("--feed", tmp_path / "feed.parquet", "--set", "reconnect_seconds=0.1")
    for words in (
        ("send", "--codec", "sealed", "--state", tmp_path / "j", "--images", receiver.images),
        ("captions", "--to", receiver.captions),
    ):
        done = subprocess.run(
            command(*words, *feed, "--log-format", "json"),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        *warnings, last = done.stderr.splitlines()
        assert "no connection to" in last
        assert all(json.loads(line)["level"] == "warning" for line in warnings)


def test_each_kind_of_bad_connection_has_its_line_and_a_flood_has_no_more(
    keys: Keys, tmp_path: Path
) -> None:
    write_tokens(tmp_path / "tokens.yaml", {"desk": "desk-secret"}, {})
    certificate, key = keys.pair("receiver")
    tls = ("--tls-cert", certificate, "--tls-key", key, "--client-ca", keys.ca)
    own = keys.pair("client")
    clients = {
        r"refused \(TLS\): connection: what came is not TLS": ClientSecurity(),
        r"refused \(certificate\): connection: the client": ClientSecurity.load(keys.ca),
        r"refused \(token\): call: UNAUTHENTICATED": ClientSecurity.load(keys.ca, *own, "guess"),
    }
    with running(tmp_path, *tls, "--tokens", tmp_path / "tokens.yaml") as receiver:
        receiver.says("over TLS with client certificates, 1 sender and 0 operator tokens")
        for said, client in clients.items():
            asyncio.run(knock(receiver.images, client, times=1))
            receiver.says(said)
        lines = len(receiver.lines)
        for client in clients.values():
            asyncio.run(knock(receiver.images, client, times=5))
        assert len(receiver.lines) == lines
    assert not [line for line in receiver.lines if "ssl_transport_security" in line]


async def knock(address: str, client: ClientSecurity, times: int) -> None:
    """Calls that are refused."""
    for _ in range(times):
        async with client_channel(address, client) as channel:
            control = control_pb2_grpc.ControlServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError):
                await control.ListSessions(control_pb2.ListSessionsRequest(), timeout=PATIENCE)


def test_other_lines_of_standard_error_pass(tmp_path: Path) -> None:
    """Standard error goes through a pipe where there is TLS; only gRPC's own lines stay in it."""
    code = (
        "import asyncio, os, sys\n"
        "from shared.core_log import divert_core_log\n"
        "divert_core_log()\n"
        "from receiver.handshakes import watched_handshakes\n"
        "async def main():\n"
        "    with watched_handshakes(lambda refusal: print(refusal.kind.value, flush=True)):\n"
        "        os.write(2, b'no end of line')\n"
        "        await asyncio.sleep(0.2)\n"
        "        os.write(2, b' yet\\nI1126 13:05:44.624 77 ssl_transport_security.cc:2563] Hand')\n"
        "        os.write(2, b'shake failed with error SSL_ERROR_SSL: error:1:SSL routines:x:HTTP_REQUEST:'\n"
        "            b' y\\nW1126 13:05:44.6 7 log.cc:102] noise\\nI am a line\\n')\n"
        "        print('a word', file=sys.stderr)\n"
        "        await asyncio.sleep(0.2)\n"
        "    print('after', file=sys.stderr)\n"
        "asyncio.run(main())\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stderr == "no end of line yet\nI am a line\na word\nafter\n"
    assert done.stdout == "TLS\n"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("WRONG_VERSION_NUMBER", Kind.TLS),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", Kind.CERTIFICATE),
        ("CERTIFICATE_VERIFY_FAILED", Kind.CERTIFICATE),
        ("SOMETHING_NEW", Kind.TLS),
    ],
)
def test_what_grpc_says_of_handshakes(reason: str, kind: Kind) -> None:
    line = (
        "I1126 13:05:44.62 10416 ssl_transport_security.cc:2563] Handshake failed with error"
        f" SSL_ERROR_SSL: error:100000f7:SSL routines:OPENSSL_internal:{reason}: Invalid"
    )
    refusal = refusal_of(line.encode())
    assert refusal is not None
    assert (refusal.kind, refusal.scope) == (kind, Scope.CONNECTION)
    assert reason != "SOMETHING_NEW" or reason in refusal.why
    assert refusal_of(b"I1126 13:05:44.62 10416 log.cc:102] Log level INFO") is None


def test_a_flood_makes_a_line_a_minute_with_its_count(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    log = RefusalLog(lambda: now)
    over = Refusal.of(WireError(Reason.OVER_QUOTA, "65 streams"), Scope.CALL)
    for _ in range(1000):
        log.refused(over)
    assert [record.getMessage() for record in caplog.records] == [
        "refused (limits): call: OVER_QUOTA: 65 streams"
    ]
    log.flush()
    assert len(caplog.records) == 1
    now = QUIET_SECONDS
    log.flush()
    log.flush()
    assert [record.getMessage() for record in caplog.records[1:]] == [
        "refused (limits): 999 more, 1000 in all, the last: call: OVER_QUOTA: 65 streams"
    ]
    log.refused(Refusal.of(WireError(Reason.DRAINING, "stopping"), Scope.CALL))
    assert (len(caplog.records), log.total) == (2, 1000)


def test_every_reason_has_a_kind() -> None:
    everyday = {
        reason
        for reason in Reason
        if Refusal.of(WireError(reason, "x"), Scope.CALL).kind is Kind.ORDER
    }
    assert everyday == {
        Reason.NOT_OWNER,
        Reason.DRAINING,
        Reason.STORAGE,
        Reason.STALE_EPOCH,
        Reason.SUPERSEDED,
        Reason.SESSION_UNKNOWN,
    }


def test_totals_of_a_minute_and_refused_messages(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        tallies, refusals = Tallies(), RefusalLog()
        observer = Observers(tallies, refusals)
        async with receiving(tmp_path, observer=observer, tallies=tallies) as local:
            totals = Totals(tallies, refusals)
            assert totals.line(local.gateway) == ""
            peer = await local.peer()
            images, words = await local.talk(peer, IMAGES), await local.talk(peer, CAPTIONS)
            await words.send(caption=words.caption(0, "two people"))
            await images.send(frame=images.frame(0, good(0), expects_caption=True))
            await images.send(frame=images.frame(1, good(1)))
            await images.send(frame=images.frame(2, b"not a container"))
            for seq in range(3):
                await images.end_of(seq)
            line = totals.line(local.gateway)
            assert line.startswith("ended in the last minute: 3 pictures (")
            for part in ("1 decoded_with_text", "1 decoded_no_text", "1 rejected"):
                assert part in line
            assert "; 1 captions (1 decoded_with_text); held: 0 pictures" in line
            assert totals.line(local.gateway) == ""

    with caplog.at_level(logging.WARNING, "sidewire.receiver"):
        asyncio.run(run())
    assert any(
        record.getMessage().startswith("refused (protocol): message: MALFORMED")
        for record in caplog.records
    )
