"""Operators see all streams and touch none; certificates and tokens are read again under way."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from cluster.trials.feed import write_feed
from cluster.trials.processes import Program, command
from shared.wire.channels import client_channel
from shared.wire.security import ClientSecurity
from shared.wire.v1 import control_pb2, control_pb2_grpc, types_pb2
from tests.keys import Keys, issue, make_keys, write_tokens
from tests.patience import PATIENCE
from tests.processes import until

SENDERS = {"desk": "desk-secret", "field": "field-secret"}
OPERATORS = {"night-watch": "watch-secret"}


@dataclass
class Secure:
    """A receiver over TLS with tokens, and its files."""

    keys: Keys
    tokens: Path
    program: Program
    images: str
    log: Path

    def client(self, token: str) -> ClientSecurity:
        return ClientSecurity.load(self.keys.ca, token=token)

    def renew(self, said: str) -> None:
        """SIGHUP, until it says this once more."""
        before = self.log.read_text().count(said)
        self.program.signal(signal.SIGHUP)
        until(lambda: self.log.read_text().count(said) > before, said)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    with serving(tmp_path) as running:
        yield running


@contextmanager
def serving(folder: Path) -> Iterator[Secure]:
    keys, tokens, log = make_keys(folder), folder / "tokens.yaml", folder / "receive.log"
    write_tokens(tokens, SENDERS, OPERATORS)
    certificate, key = keys.pair("receiver")
    where = ("--images", "127.0.0.1:0", "--captions", "127.0.0.1:0", "--state", folder / "state")
    sink = ("--sink", folder / "sink", "--set", "decoder=benchmark-echo")
    tls = ("--tls-cert", certificate, "--tls-key", key, "--tokens", tokens)
    program = Program("receive", *where, *sink, *tls, log=log)
    try:
        yield Secure(keys, tokens, program, program.line()["images"], log)
        program.signal(signal.SIGTERM)
        assert program.wait() == 0
    finally:
        program.kill()


async def refuses(call: grpc.aio.Call) -> None:
    """It is an operator's, and would touch a stream."""
    assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
    assert await call.details() == "'night-watch' is an operator, who sees all streams and has none"


def sidewire(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def streams(secure: Secure, token: str) -> list[dict[str, Any]]:
    """Those that its owner is shown. One that nobody sends on is closed within half a minute, which a look
    may take."""
    file = secure.tokens.with_name("one.token")
    file.write_text(token)
    done = sidewire(
        *("status", "--images", secure.images, "--tls-ca", secure.keys.ca),
        *("--token-file", file, "--json"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return [*found["sessions"], *found["ended"]]


def test_an_operator_sees_all_streams_and_a_sender_its_own(secure: Secure, tmp_path: Path) -> None:
    write_feed(tmp_path / "feed.parquet", rows=3, payload_bytes=50)
    for name, token in SENDERS.items():
        (tmp_path / "token").write_text(token)
        done = sidewire(
            *("send", "--feed", tmp_path / "feed.parquet", "--codec", "sealed"),
            *("--set", f"stream=of-{name}", "--state", tmp_path / name),
            *("--images", secure.images, "--tls-ca", secure.keys.ca),
            *("--token-file", tmp_path / "token"),
        )
        assert done.returncode == 0, done.stderr
    for name, token in SENDERS.items():
        own = streams(secure, token)
        assert [(one["stream"], one["sender"]) for one in own] == [(f"of-{name}", name)]
    seen = streams(secure, OPERATORS["night-watch"])
    assert {one["stream"]: one["sender"] for one in seen} == {
        "of-desk": "desk",
        "of-field": "field",
    }
    assert all(one["ends"]["decoded_no_text"]["frames"] == 3 for one in seen)


def test_an_operator_has_no_streams(secure: Secure) -> None:
    async def run() -> None:
        async with client_channel(secure.images, secure.client("watch-secret")) as channel:
            control = control_pb2_grpc.ControlServiceStub(channel)
            opening = control_pb2.OpenSessionRequest(
                stream_id="s", channel=types_pb2.CHANNEL_IMAGES
            )
            await refuses(control.OpenSession(opening))
            async with client_channel(secure.images, secure.client("desk-secret")) as desk:
                theirs = await control_pb2_grpc.ControlServiceStub(desk).OpenSession(opening)
            shown = control_pb2.GetSessionRequest(session_id=theirs.session_id)
            assert (await control.GetSession(shown)).session.sender == "desk"
            closing = control_pb2.CloseSessionRequest(
                session_id=theirs.session_id, channel=types_pb2.CHANNEL_IMAGES
            )
            await refuses(control.CloseSession(closing))
            call = channel.stream_stream(
                "/sidewire.v1.ImageChannelService/StreamImages",
                request_serializer=lambda message: message,
                response_deserializer=lambda message: message,
            )()
            await refuses(call)

    asyncio.run(run())


def test_tokens_are_read_again_and_a_broken_file_changes_nothing(secure: Secure) -> None:
    async def name_of(token: str) -> grpc.StatusCode:
        async with client_channel(secure.images, secure.client(token)) as channel:
            control = control_pb2_grpc.ControlServiceStub(channel)
            call = control.ListSessions(control_pb2.ListSessionsRequest())
            code: grpc.StatusCode = await call.code()
            return code

    def admitted(token: str) -> bool:
        code = asyncio.run(name_of(token))
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED)
        return code is grpc.StatusCode.OK

    assert (admitted("desk-secret"), admitted("new-secret")) == (True, False)
    secure.tokens.write_text("- {sender: desk")
    secure.renew(f"certificates and tokens stay as they were: {secure.tokens} is not YAML")
    assert (admitted("desk-secret"), admitted("new-secret")) == (True, False)
    write_tokens(secure.tokens, {"desk": "new-secret"}, OPERATORS)
    secure.renew("certificates and 2 tokens were read again")
    assert (admitted("desk-secret"), admitted("new-secret")) == (False, True)


def test_a_new_certificate_is_shown_and_who_is_connected_stays(secure: Secure) -> None:
    host, port = secure.images.split(":")

    def shown() -> str:
        return ssl.get_server_certificate((host, int(port)))

    async def run() -> None:
        async with client_channel(secure.images, secure.client("desk-secret")) as channel:
            control = control_pb2_grpc.ControlServiceStub(channel)
            request = control_pb2.OpenSessionRequest(
                stream_id="s", channel=types_pb2.CHANNEL_IMAGES
            )
            session = await control.OpenSession(request)
            state = control_pb2.GetSessionRequest(session_id=session.session_id)
            first = shown()
            assert await asyncio.to_thread(shown) == first

            secure.keys.pair("receiver")[1].write_text("no key")
            await asyncio.to_thread(secure.renew, "stay as they were")
            assert shown() == first

            issue(secure.keys, "receiver", secure.keys.authority.issue_cert("127.0.0.1"))
            write_tokens(secure.tokens, SENDERS, {})
            await asyncio.to_thread(secure.renew, "certificates and 2 tokens were read again")
            assert shown() != first
            assert (await control.GetSession(state)).session.sender == "desk"

    asyncio.run(run())
