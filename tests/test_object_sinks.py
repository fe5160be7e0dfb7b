"""Invariant: a store shows what the ledger holds, each (frame, revision) once, whatever dies or is away."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pyarrow.parquet as pq
import pytest

from cluster.trials.effects import as_sent, folder_deliveries, judge
from cluster.trials.feed import write_feed
from cluster.trials.processes import Ends, Program
from receiver.settings import ReceiveSettings
from receiver.sinks.folder import FolderSink
from receiver.sinks.interface import Sink
from receiver.sinks.objects import ObjectStaging
from receiver.sinks.parquet import ParquetSink
from receiver.sinks.places import StorePlace
from receiver.sinks.store import ObjectStore, StoreError
from shared.settings import SettingsError
from tests.patience import LATE_WINDOW
from tests.processes import until
from tests.stores import (
    BUCKET,
    CREDENTIALS,
    StoreServer,
    google_account,
    google_server,
    store_server,
)
from tests.test_sinks import Effect, Receiver, decoded

FRAMES, PAYLOAD_BYTES = 60, 600
OPTIONS = ("--set", "commit_rows=8", "--caption-wait", "0.5", "--set", "decoder=benchmark-echo")
OPTIONS += LATE_WINDOW


@pytest.fixture(scope="module", params=["s3", "gs"])
def server(request: pytest.FixtureRequest) -> Iterator[StoreServer]:
    with store_server() if request.param == "s3" else google_server() as running:
        yield running


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return google_account(tmp_path_factory.mktemp("account") / "account.json")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, account: Path) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """Of this test alone."""
    return f"tests/{tmp_path.name}"


def sink_of(server: StoreServer, prefix: str, kind: type[FolderSink] | type[ParquetSink]) -> Sink:
    return kind(ObjectStaging(ObjectStore(StorePlace.parse(server.uri(prefix)))))


def staged(objects: dict[PurePosixPath, bytes]) -> list[PurePosixPath]:
    return [path for path in objects if path.parts[0] == ".staging"]


def effects(server: StoreServer, prefix: str) -> list[Effect]:
    """What a reader finds who knows nothing of ledgers."""
    found = []
    for path, data in server.objects(prefix).items():
        if path.parts[0] == ".staging":
            continue
        if path.suffix == ".parquet":
            rows = pq.read_table(io.BytesIO(data)).to_pylist()
            found += [(row["seq"], row["revision"], row["image"] or b"") for row in rows]
        elif path.suffix == ".json":
            facts = json.loads(data)
            picture = server.objects(prefix)[path.with_suffix(".png")]
            found.append((facts["seq"], facts["revision"], picture))
    return sorted(found)


# The rule, at each place where a receiver may die

kinds = pytest.mark.parametrize("kind", [FolderSink, ParquetSink])
Kind = type[FolderSink] | type[ParquetSink]


@kinds
def test_a_crash_before_the_commit_shows_nothing(
    server: StoreServer, prefix: str, kind: Kind, tmp_path: Path
) -> None:
    first = Receiver.start(tmp_path / "ledger", sink_of(server, prefix, kind))
    first.store([decoded(0)])
    first.store([decoded(1), decoded(2)], crash_after="write")
    assert effects(server, prefix) == [(0, 0, b"pixels")]
    assert len(staged(server.objects(prefix))) == 1
    again = Receiver.start(tmp_path / "ledger", sink_of(server, prefix, kind))
    assert staged(server.objects(prefix)) == []
    again.store([decoded(1, revision=1)])
    assert effects(server, prefix) == [(0, 0, b"pixels"), (1, 1, b"pixels")]


@kinds
def test_a_crash_after_the_commit_loses_nothing(
    server: StoreServer, prefix: str, kind: Kind, tmp_path: Path
) -> None:
    first = Receiver.start(tmp_path / "ledger", sink_of(server, prefix, kind))
    first.store([decoded(0), decoded(1)], crash_after="commit")
    assert effects(server, prefix) == []
    again = Receiver.start(tmp_path / "ledger", sink_of(server, prefix, kind))
    assert effects(server, prefix) == [(0, 0, b"pixels"), (1, 0, b"pixels")]
    again.store([decoded(2)])
    assert [seq for seq, *_ in effects(server, prefix)] == [0, 1, 2]
    assert staged(server.objects(prefix)) == []
    rows = again.ledger.connection.execute("SELECT count(*) FROM staged_objects").fetchone()
    assert rows == (1,)


def test_a_failed_commit_counts_once(server: StoreServer, prefix: str, tmp_path: Path) -> None:
    receiver = Receiver.start(tmp_path / "ledger", sink_of(server, prefix, FolderSink))
    deliveries = receiver.ledger.number([decoded(0), decoded(1)])
    receiver.sink.write(deliveries)
    # One stream was fenced meanwhile: the batch comes again with less in it.
    receiver.store([decoded(0)])
    assert effects(server, prefix) == [(0, 0, b"pixels")]
    assert staged(server.objects(prefix)) == []


def test_what_could_not_be_shown_is_shown_by_a_repeat(prefix: str, tmp_path: Path) -> None:
    ends = [decoded(0)]
    with store_server() as server:
        receiver = Receiver.start(tmp_path / "ledger", sink_of(server, prefix, FolderSink))
        deliveries = receiver.ledger.number(ends)
        receiver.sink.write(deliveries)
        receiver.ledger.commit(
            ends, deliveries, [], lambda ledger: receiver.sink.record(ledger, deliveries)
        )
        server.system.delete_dir_contents(BUCKET)
        server.system.delete_dir(BUCKET)
        with pytest.raises(StoreError, match="NO_SUCH_BUCKET"):
            receiver.sink.committed(deliveries)
        server.system.create_dir(BUCKET)
        receiver.sink.committed(deliveries)
        assert effects(server, prefix) == [(0, 0, b"pixels")]


def test_ledgers_that_share_a_prefix_leave_each_other_alone(
    server: StoreServer, prefix: str, tmp_path: Path
) -> None:
    one = Receiver.start(tmp_path / "one", sink_of(server, prefix, FolderSink))
    one.store([decoded(0)], crash_after="commit")
    other = Receiver.start(tmp_path / "other", sink_of(server, prefix, FolderSink))
    other.store([decoded(1)])
    assert [seq for seq, *_ in effects(server, prefix)] == [1]
    Receiver.start(tmp_path / "one", sink_of(server, prefix, FolderSink))
    assert [seq for seq, *_ in effects(server, prefix)] == [0, 1]


def test_an_archive_is_a_zip_that_people_can_open(
    server: StoreServer, prefix: str, tmp_path: Path
) -> None:
    receiver = Receiver.start(tmp_path / "ledger", sink_of(server, prefix, FolderSink))
    receiver.store([decoded(7)], crash_after="write")
    (archive,) = server.objects(prefix).values()
    names = zipfile.ZipFile(io.BytesIO(archive)).namelist()
    assert sorted(names) == ["camera/1-00000007-photo.r0.json", "camera/1-00000007-photo.r0.png"]


def test_a_damaged_archive_of_a_commit_stops_the_start(
    server: StoreServer, prefix: str, tmp_path: Path
) -> None:
    receiver = Receiver.start(tmp_path / "ledger", sink_of(server, prefix, FolderSink))
    receiver.store([decoded(0)], crash_after="commit")
    (path,) = staged(server.objects(prefix))
    with server.system.open_output_stream(f"{BUCKET}/{prefix}/{path}") as stream:
        stream.write(b"no archive")
    with pytest.raises(StoreError, match=r"\.zip is damaged"):
        Receiver.start(tmp_path / "ledger", sink_of(server, prefix, FolderSink))
    assert len(staged(server.objects(prefix))) == 1


# Whole receivers


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("feeds") / "sealed.parquet"
    write_feed(path, FRAMES, PAYLOAD_BYTES)
    return path


@pytest.fixture
def ends(server: StoreServer, prefix: str, tmp_path: Path, feed: Path) -> Iterator[Ends]:
    """Both ends, whose pictures go to the store."""
    receive = (*OPTIONS, "--sink", server.uri(prefix))
    with Ends(tmp_path, feed, receive=receive) as both:
        yield both


def assert_exactly_once(ends: Ends, sender: Program, server: StoreServer, prefix: str) -> None:
    assert sender.wait() == 0, ends.said("send")
    gateway = ends.start_receiver()
    gateway.line()
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0, ends.said("receive")
    folder = server.download(prefix, ends.folder / "downloaded")
    verdict = judge(folder_deliveries(folder), ends.ledger, FRAMES, as_sent(PAYLOAD_BYTES))
    assert (verdict.flaws, verdict.wordless) == ({}, [])


@pytest.mark.parametrize(
    "fault", ["gateway.after_output:kill:4", "gateway.after_commit:kill:4", "sink.object:kill:30"]
)
def test_a_receiver_is_killed(ends: Ends, server: StoreServer, prefix: str, fault: str) -> None:
    gateway = ends.start_receiver(fault=fault)
    sender = ends.start_sender(captions=True)
    assert gateway.wait() == -signal.SIGKILL, ends.said("receive")
    again = ends.start_receiver()
    assert sender.wait() == 0, ends.said("send")
    again.signal(signal.SIGTERM)
    assert again.wait() == 0, ends.said("receive")
    assert_exactly_once(ends, sender, server, prefix)


def test_a_store_that_is_away_holds_senders_back_and_loses_nothing(
    ends: Ends, server: StoreServer, prefix: str
) -> None:
    if not server.silence:
        pytest.skip("the client library waits for a silent server by itself")
    gateway = ends.start_receiver()
    gateway.line()
    server.process.send_signal(signal.SIGSTOP)
    try:
        sender = ends.start_sender(captions=True)
        until(lambda: "nothing is acknowledged" in ends.said("receive"), "the receiver says so")
        assert re.search(server.silence, ends.said("receive"))
        assert sender.running
        with sqlite3.connect(ends.ledger) as database:
            assert database.execute("SELECT count(*) FROM ends").fetchone()[0] < FRAMES
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert sender.wait() == 0, ends.said("send")
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0, ends.said("receive")
    assert "storing works again" in ends.said("receive")
    assert_exactly_once(ends, sender, server, prefix)


# What is wrong from the beginning


def refused(tmp_path: Path, sink: str) -> str:
    """What a receiver says that does not start."""
    with Ends(tmp_path, tmp_path, receive=(*OPTIONS, "--sink", sink)) as both:
        assert both.start_receiver().wait() == 1, both.said("receive")
        return both.said("receive").splitlines()[-1]


def test_a_bucket_that_is_not_there(server: StoreServer, tmp_path: Path) -> None:
    sink = server.uri("news", bucket="nowhere")
    said = refused(tmp_path, sink)
    assert said.startswith(f"sidewire: cannot use the sink {sink}: ")
    assert said.endswith("there is no bucket 'nowhere'")


def test_credentials_that_nobody_knows(tmp_path: Path) -> None:
    with store_server(strict=True) as strict:
        said = refused(tmp_path, strict.uri("news"))
    assert "cannot use the sink s3://" in said
    assert "ACCESS_DENIED" in said


def test_a_store_that_does_not_answer(tmp_path: Path) -> None:
    sink = f"s3://{BUCKET}/news?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    assert "Could not connect" in refused(tmp_path, sink)


@pytest.mark.parametrize(
    ("sink", "message"),
    [
        ("ftp://pictures", "must be a folder or begin with s3:// or gs://"),
        ("s3:///news", "must name a bucket"),
        ("s3://key:secret@pictures/news", "must hold no credentials"),
        ("s3://pictures?endpoint=minio", "parameter 'endpoint', must be one of endpoint_override"),
        ("s3://pictures?scheme=ftp", "scheme 'ftp', must be http or https"),
        ("gs://pictures?region=eu", "parameter 'region', must be one of endpoint_override, scheme"),
    ],
)
def test_a_place_that_makes_no_sense(sink: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^sink is ") as caught:
        ReceiveSettings.load({"state": str(tmp_path), "sink": sink})
    assert message in str(caught.value)


def test_a_place_may_be_a_path_or_text(tmp_path: Path) -> None:
    for sink in (tmp_path / "out", str(tmp_path / "out")):
        assert ReceiveSettings(state=tmp_path, sink=sink).sink == os.fspath(sink)
    place = StorePlace.parse("s3://pictures/a/b/?scheme=http")
    assert (place.bucket, place.prefix, str(place)) == ("pictures", "a/b", "s3://pictures/a/b")
