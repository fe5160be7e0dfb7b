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


def start(place: Place, folder: Path, *words: object) -> Iterator[Receiver]:
    tls = ("--tls-cert", place.file("server.pem"), "--tls-key", place.file("server.key"))
    options = ("--set", "decoder=benchmark-echo", "--caption-wait", 30)
    with receiver(folder / "state", "--sink", folder / "sink", *tls, *options, *words) as running:
        yield running


@pytest.fixture
def with_tokens(place: Place, tmp_path: Path) -> Iterator[Receiver]:
    yield from start(place, tmp_path, "--tokens", place.file("tokens.yaml"))


@pytest.fixture
def with_certificates(place: Place, tmp_path: Path) -> Iterator[Receiver]:
    yield from start(place, tmp_path, "--client-ca", place.file("ca.pem"))


def send(
    place: Place, state: Path, to: Receiver, *words: object
) -> subprocess.CompletedProcess[str]:
    feed = ("--feed", place.file("feed.parquet"), "--codec", "sealed", "--state", state)
    where = ("--images", to.images, "--captions", to.captions)
    return subprocess.run(
        command("send", *feed, *where, *words, "--json"),
        check=False,
        capture_output=True,
        text=True,
        timeout=800,
    )


def test_a_token_over_tls_opens_the_way(
    place: Place, tmp_path: Path, with_tokens: Receiver
) -> None:
    ca = ("--tls-ca", place.file("ca.pem"))
    done = send(place, tmp_path / "a", with_tokens, *ca, "--token-file", place.file("desk.token"))
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "sink" / "feed").glob("*.r1.swi"))) == 20


def test_another_senders_stream_is_not_to_be_had(
    place: Place, tmp_path: Path, with_tokens: Receiver
) -> None:
    ca = ("--tls-ca", place.file("ca.pem"))
    first = send(place, tmp_path / "a", with_tokens, *ca, "--token-file", place.file("desk.token"))
    assert first.returncode == 0, first.stderr
    second = send(
        place, tmp_path / "b", with_tokens, *ca, "--token-file", place.file("field.token")
    )
    assert second.returncode == 1
    assert "stream 'feed' is another sender's" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("token", [(), ("--token-file", "wrong.token")])
def test_no_token_or_a_wrong_one_ends_at_once(
    place: Place, tmp_path: Path, with_tokens: Receiver, token: tuple[str, ...]
) -> None:
    words = [place.file(word) if word.endswith(".token") else word for word in token]
    done = send(place, tmp_path / "a", with_tokens, "--tls-ca", place.file("ca.pem"), *words)
    assert done.returncode == 1
    assert "bearer token" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_client_certificate_opens_the_way(
    place: Place, tmp_path: Path, with_certificates: Receiver
) -> None:
    own = ("--tls-cert", place.file("client.pem"), "--tls-key", place.file("client.key"))
    done = send(place, tmp_path / "a", with_certificates, "--tls-ca", place.file("ca.pem"), *own)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [(), ("--tls-ca", "ca.pem"), ("--tls-ca", "stranger.pem")])
def test_plaintext_no_certificate_and_a_strange_receiver_are_given_up(
    place: Place, tmp_path: Path, with_certificates: Receiver, words: tuple[str, ...]
) -> None:
    given = [place.file(word) if word.endswith(".pem") else word for word in words]
    impatient = ("--set", "reconnect_seconds=2")
    done = send(place, tmp_path / "a", with_certificates, *given, *impatient)
    assert done.returncode == 1
    assert "no connection to" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "sink").rglob("*.swi"))
