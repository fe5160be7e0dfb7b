"""What keeps a client from a receiver is said in words that name the setting, not in gRPC's."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from cluster.trials.feed import write_feed
from cluster.trials.processes import address_of, command, receiver, reserved_port
from shared.wire.channels import server_options
from shared.wire.diagnosis import diagnosed
from shared.wire.limits import Limits
from shared.wire.security import ClientSecurity, ServerSecurity
from tests.keys import Keys, make_keys
from tests.patience import PATIENCE

TALKS_TLS = "the receiver talks TLS, and this client plaintext: give tls_ca"
TALKS_PLAINTEXT = "the receiver talks plaintext, and this client TLS"
WRONG_CA = "the receiver's certificate is not of the authorities in tls_ca"
OTHER_NAME = "the receiver's certificate is for other names than 'localhost'"
ASKS = "the receiver asks for a client certificate: give tls_cert and tls_key"
REFUSES = "the receiver refuses the certificate"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@asynccontextmanager
async def listening(security: ServerSecurity) -> AsyncIterator[str]:
    server = grpc.aio.server(options=server_options(Limits()))
    credentials = security.credentials
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"localhost:{port}"
    finally:
        await server.stop(None)


def found(server: ServerSecurity, client: ClientSecurity) -> str:
    async def run() -> str:
        async with listening(server) as address:
            return await diagnosed(address, client)

    return asyncio.run(run())


def test_what_does_not_fit_is_named(keys: Keys) -> None:
    plain, tls = ServerSecurity(), ServerSecurity.load(*keys.pair("receiver"))
    mutual = ServerSecurity.load(*keys.pair("receiver"), keys.ca)
    elsewhere = ServerSecurity.load(*keys.pair("elsewhere"))
    trusting = ClientSecurity.load(keys.ca)
    assert found(tls, ClientSecurity()).startswith(TALKS_TLS)
    assert found(mutual, ClientSecurity()).startswith(TALKS_TLS)
    assert found(plain, trusting).startswith(TALKS_PLAINTEXT)
    wrong = found(tls, ClientSecurity.load(keys.other_ca))
    assert wrong.startswith(WRONG_CA)
    assert str(keys.other_ca) in wrong
    assert found(elsewhere, trusting).startswith(OTHER_NAME)
    assert found(mutual, trusting).startswith(ASKS)
    strange = ClientSecurity.load(keys.ca, *keys.pair("stranger"))
    assert found(mutual, strange).startswith(REFUSES)


def test_nothing_is_found_where_all_fits(keys: Keys) -> None:
    mutual = ServerSecurity.load(*keys.pair("receiver"), keys.ca)
    assert found(ServerSecurity(), ClientSecurity()) == ""
    assert found(mutual, ClientSecurity.load(keys.ca, *keys.pair("client"))) == ""


def test_who_is_not_there_and_who_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, monkeypatch.context() as here:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        here.setattr("shared.wire.diagnosis.LOOK_SECONDS", 0.5)  # too short for others to be found
        silent = asyncio.run(diagnosed(address, ClientSecurity()))
    assert silent == f"{address} takes connections and says nothing"
    with reserved_port() as absent:
        address = address_of(absent)
        gone = asyncio.run(diagnosed(address, ClientSecurity()))
    assert gone == f"nothing listens at {address}"
    nowhere = asyncio.run(diagnosed("no-such-host.invalid:1", ClientSecurity()))
    assert nowhere.startswith("the name 'no-such-host.invalid' is not found")
    assert asyncio.run(diagnosed("unix:/run/none", ClientSecurity())) == ""


@pytest.mark.parametrize(
    ("tls", "ca", "said"),
    [(True, "", TALKS_TLS), (False, "ca.pem", TALKS_PLAINTEXT), (True, "other.pem", WRONG_CA)],
)
def test_senders_and_status_say_it(
    keys: Keys, tmp_path: Path, tls: bool, ca: str, said: str
) -> None:
    write_feed(tmp_path / "feed.parquet", rows=3, payload_bytes=50)
    certificate, key = keys.pair("receiver")
    words = ["--tls-cert", certificate, "--tls-key", key] if tls else []
    client = ["--tls-ca", keys.folder / ca] if ca else []
    sink = ("--sink", tmp_path / "sink", "--set", "decoder=benchmark-echo")
    with receiver(tmp_path / "state", *sink, *words) as running:
        for name, options in (
            ("send", ["--images", running.images, "--state", tmp_path / "journal"]),
            ("captions", ["--to", running.captions]),
        ):
            feed = ["--feed", tmp_path / "feed.parquet", "--set", "reconnect_seconds=1"]
            codec = ["--codec", "sealed"] if name == "send" else []
            done = run(name, *feed, *codec, *options, *client)
            assert done.returncode == 1
            assert f"{said}" in done.stderr.splitlines()[-1], done.stderr
        done = run("status", "--images", running.images, *client)
        assert done.returncode == 1
        assert said in done.stderr


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), capture_output=True, text=True, check=False, timeout=PATIENCE
    )
