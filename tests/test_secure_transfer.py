"""Whole transfers over TLS, mutual TLS and tokens, by the commands that users run."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
import yaml

from cluster.trials.feed import write_feed
from cluster.trials.processes import Receiver, command, receiver
from tests.patience import PATIENCE

SENDERS = {"desk": "desk-secret", "field": "field-secret"}


@dataclass(frozen=True)
class Place:
    """Files of both ends."""

    folder: Path

    def file(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("secure"))
    authority, stranger = trustme.CA(), trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    server.private_key_pem.write_to_path(str(place.file("server.key")))
    for blob in server.cert_chain_pems:
        blob.write_to_path(str(place.file("server.pem")), append=True)
    client = authority.issue_cert(common_name="press-office")
    client.private_key_pem.write_to_path(str(place.file("client.key")))
    client.cert_chain_pems[0].write_to_path(str(place.file("client.pem")))
    authority.cert_pem.write_to_path(str(place.file("ca.pem")))
    stranger.cert_pem.write_to_path(str(place.file("stranger.pem")))
    tokens = [{"sender": name, "token": token} for name, token in SENDERS.items()]
    place.file("tokens.yaml").write_text(yaml.safe_dump(tokens))
    for name, token in SENDERS.items():
        place.file(f"{name}.token").write_text(token)
    place.file("wrong.token").write_text("guessed")
    write_feed(place.file("feed.parquet"), rows=20, payload_bytes=500)
    return place


@dataclass(frozen=True)
class Running:
    """A receiver, and its sink's folder."""

    receiver: Receiver
    sink: Path


def start(place: Place, folder: Path, *words: object) -> Iterator[Running]:
    tls = ("--tls-cert", place.file("server.pem"), "--tls-key", place.file("server.key"))
    options = ("--set", "decoder=benchmark-echo", "--caption-wait", PATIENCE)
    sink = folder / "sink"
    with receiver(folder / "state", "--sink", sink, *tls, *options, *words) as running:
        yield Running(running, sink)


@pytest.fixture(scope="module")
def with_tokens(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from start(
        place, tmp_path_factory.mktemp("tokens"), "--tokens", place.file("tokens.yaml")
    )


@pytest.fixture(scope="module")
def with_certificates(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from start(
        place, tmp_path_factory.mktemp("certificates"), "--client-ca", place.file("ca.pem")
    )


def send(
    place: Place, state: Path, to: Running, *words: object
) -> subprocess.CompletedProcess[str]:
    """A sender of the feed; its stream is called as the folder of its state."""
    feed = ("--feed", place.file("feed.parquet"), "--codec", "sealed", "--state", state)
    where = ("--images", to.receiver.images, "--captions", to.receiver.captions)
    return subprocess.run(
        command("send", *feed, "--stream", state.name, *where, *words, "--json"),
        check=False,
        capture_output=True,
        text=True,
        timeout=800,
    )


def test_a_token_opens_the_way_and_another_senders_stream_is_not_to_be_had(
    place: Place, tmp_path: Path, with_tokens: Running
) -> None:
    ca = ("--tls-ca", place.file("ca.pem"))
    first, second = (
        send(
            place,
            tmp_path / sender / "ours",
            with_tokens,
            *ca,
            *("--token-file", place.file(f"{sender}.token")),
        )
        for sender in SENDERS
    )
    assert first.returncode == 0, first.stderr
    assert len(list((with_tokens.sink / "ours").glob("*.r1.swi"))) == 20
    assert second.returncode == 1
    assert "stream 'ours' is another sender's" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("token", [(), ("--token-file", "wrong.token")])
def test_no_token_or_a_wrong_one_ends_at_once(
    place: Place, tmp_path: Path, with_tokens: Running, token: tuple[str, ...]
) -> None:
    words = [place.file(word) if word.endswith(".token") else word for word in token]
    done = send(place, tmp_path / "unknown", with_tokens, "--tls-ca", place.file("ca.pem"), *words)
    assert done.returncode == 1
    assert "bearer token" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_client_certificate_opens_the_way(
    place: Place, tmp_path: Path, with_certificates: Running
) -> None:
    own = ("--tls-cert", place.file("client.pem"), "--tls-key", place.file("client.key"))
    done = send(
        place, tmp_path / "known", with_certificates, "--tls-ca", place.file("ca.pem"), *own
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [(), ("--tls-ca", "ca.pem"), ("--tls-ca", "stranger.pem")])
def test_plaintext_no_certificate_and_a_strange_receiver_are_given_up(
    place: Place, tmp_path: Path, with_certificates: Running, words: tuple[str, ...]
) -> None:
    given = [place.file(word) if word.endswith(".pem") else word for word in words]
    impatient = ("--set", "reconnect_seconds=2")
    done = send(place, tmp_path / "unknown", with_certificates, *given, *impatient)
    assert done.returncode == 1
    assert "no connection to" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((with_certificates.sink / "unknown").rglob("*.swi"))
