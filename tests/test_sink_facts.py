"""What sinks say of a picture's stream and of when it came, beside the picture."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from cluster.trials.feed import write_feed
from cluster.trials.frames import frame as made_up
from cluster.trials.processes import Ends
from receiver.ledger import Ledger
from receiver.sinks.facts import facts
from receiver.sinks.folder import FolderSink
from receiver.sinks.parquet import ParquetSink
from receiver.sinks.staging import Staging
from receiver.work import End, Frame, Key, frame_end
from shared.bitstream.container import Container
from shared.systems.catalogue import stream_name
from shared.wire.v1 import types_pb2 as wire
from tests.conftest import GOLDEN
from tests.processes import until_delivered

BLOB = (GOLDEN / "lighthouse.swi").read_bytes()
#: When the receiver's clock stood at 0.
ZERO = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
FRAMES, PAYLOAD_BYTES = 12, 300


def end_of(
    container: bytes, arrived_at: float | None = 5.0, decoded_at: float | None = 5.25
) -> End:
    key = Key("camera", 1, 3)
    frame = Frame(key, bytes(16), "photo", container, False, arrived_at=arrived_at)
    return End(
        *(key, 0, wire.DISPOSITION_DECODED_NO_TEXT, True, False, frame),
        picture=b"pixels",
        media_type="image/png",
        decoded_at=decoded_at,
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    kept = Ledger(tmp_path / "ledger", late_window=0.0, now=time.time)
    yield kept
    kept.close()


def facts_of(ledger: Ledger, end: End) -> dict[str, Any]:
    (delivery,) = ledger.number([end], ZERO)
    return facts(delivery)


def test_a_stream_is_described_by_its_header(ledger: Ledger) -> None:
    header = Container.from_bytes(BLOB).header
    said = facts_of(ledger, end_of(BLOB))
    assert (said["bytes"], said["codec"]) == (len(BLOB), stream_name(header.codec_id))
    sides = (said["quality"], said["width"], said["height"])
    assert sides == (header.quality, header.width, header.height)


def test_times_are_of_the_wall_clock(ledger: Ledger) -> None:
    said = facts_of(ledger, end_of(BLOB))
    assert said["received_at"] == datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert said["decoded_at"] - said["received_at"] == timedelta(seconds=0.25)


def test_what_is_not_known_is_left_open(ledger: Ledger) -> None:
    recalled = facts_of(ledger, end_of(BLOB, arrived_at=None))
    assert recalled["received_at"] is None
    assert recalled["decoded_at"] is not None
    skipped = Frame(Key("camera", 1, 4), bytes(16), "photo", b"", False, arrived_at=5.0)
    said = facts_of(ledger, frame_end(skipped, wire.DISPOSITION_REJECTED, "no picture"))
    assert said["bytes"] == 0
    assert [said[name] for name in ("codec", "quality", "width", "decoded_at")] == [None] * 4
    foreign = bytearray(BLOB)
    foreign[3] = 250  # a codec that nobody has
    said = facts_of(ledger, end_of(bytes(foreign)))
    assert said["codec"] is None


@pytest.mark.parametrize("kind", [FolderSink, ParquetSink])
def test_both_sinks_say_the_same(
    kind: type[FolderSink] | type[ParquetSink], ledger: Ledger, tmp_path: Path
) -> None:
    sink = kind(Staging(tmp_path / "out"))
    sink.recover(ledger.connection)
    end = end_of(BLOB)
    deliveries = ledger.number([end], ZERO)
    sink.write(deliveries)
    ledger.commit([end], deliveries, [], lambda database: sink.record(database, deliveries))
    sink.committed(deliveries)
    if kind is FolderSink:
        (path,) = (tmp_path / "out" / "camera").glob("*.json")
        row = json.loads(path.read_text())
        row |= {name: datetime.fromisoformat(row[name]) for name in ("received_at", "decoded_at")}
    else:
        (row,) = pyarrow.dataset.dataset(tmp_path / "out").to_table().to_pylist()
    said = facts(deliveries[0])
    assert {name: row[name] for name in said} == said


def test_a_receiver_says_when_pictures_came_and_were_decoded(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    feed = tmp_path / "numbered.parquet"
    write_feed(feed, FRAMES, PAYLOAD_BYTES)
    with Ends(tmp_path, feed) as ends:
        ends.start_receiver().line()
        assert ends.start_sender().wait() == 0, ends.said("send")
        until_delivered(ends.sink, FRAMES)
    over = datetime.now(UTC)
    for path in ends.sink.glob("*/*.json"):
        said = json.loads(path.read_text())
        received, decoded = (
            datetime.fromisoformat(said[f"{n}_at"]) for n in ("received", "decoded")
        )
        assert began < received <= decoded < over
        container = made_up(said["seq"], PAYLOAD_BYTES).container
        assert said["bytes"] == len(container)
        assert said["width"] == Container.from_bytes(container).header.width
