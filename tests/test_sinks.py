"""Invariant: what a sink shows is what the ledger holds, each (frame, revision) once, wherever it crashed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import pyarrow.dataset
import pytest
from google.rpc.status_pb2 import Status

from receiver.delivery import AHEAD, DeliveryServicer, Subscription
from receiver.ledger import Ledger
from receiver.sinks.folder import FolderSink
from receiver.sinks.interface import Sink
from receiver.sinks.ledger_only import LedgerOnlySink
from receiver.sinks.parquet import ParquetSink
from receiver.sinks.staging import Staging
from receiver.sinks.subscriber import Outbox, OutboxFullError, SubscriberSink
from receiver.work import Caption, End, Frame, Key, frame_end
from shared.wire.errors import Reason, WireError
from shared.wire.limits import Window
from shared.wire.security import Principal
from shared.wire.v1 import delivery_pb2_grpc
from shared.wire.v1 import types_pb2 as wire
from shared.wire.v1.delivery_pb2 import SubscribeRequest, SubscribeResponse

EVERYTHING = Window(frames=1 << 20, bytes=1 << 30)
SUBSCRIBE = "/sidewire.v1.DeliveryService/Subscribe"

#: (seq, revision, picture).
Effect = tuple[int, int, bytes]


def decoded(seq: int, revision: int = 0, name: str = "photo", picture: bytes = b"pixels") -> End:
    """The end of a frame that was decoded, with a caption if ``revision`` is one's."""
    key = Key("camera", 1, seq)
    frame = Frame(key, bytes(16), name, b"container", expects_caption=False)
    caption = Caption(key, b"", revision, f"words {revision}", "en", 0.0) if revision else None
    disposition = (
        wire.DISPOSITION_DECODED_WITH_TEXT if revision else wire.DISPOSITION_DECODED_NO_TEXT
    )
    return End(
        key,
        revision,
        disposition,
        frame_ended=True,
        caption_ended=caption is not None,
        frame=frame,
        caption=caption,
        picture=picture,
        media_type="image/png",
    )


@dataclass
class Receiver:
    """A ledger and a sink, used as the pipeline uses them."""

    ledger: Ledger
    sink: Sink

    @classmethod
    def start(cls, path: Path, sink: Sink) -> Receiver:
        ledger = Ledger(path, late_window=0.0, now=time.time)
        sink.recover(ledger.connection)
        return cls(ledger, sink)

    def store(self, ends: Sequence[End], crash_after: str = "") -> None:
        deliveries = self.ledger.number(ends)
        self.sink.write(deliveries)
        if crash_after == "write":
            self.crash()
            return
        self.ledger.commit(
            ends, deliveries, [], lambda database: self.sink.record(database, deliveries)
        )
        if crash_after == "commit":
            self.crash()
            return
        self.sink.committed(deliveries)

    def crash(self) -> None:
        """Nothing is closed in order; only the file's locks go."""
        self.ledger.connection.close()


def in_folder(root: Path) -> list[Effect]:
    """Files below the streams' folders, a picture and its description each."""
    effects = []
    for path in (root / "out").glob("[!.]*/*.json"):
        facts = json.loads(path.read_text())
        picture = path.with_suffix(".png")
        data = picture.read_bytes() if picture.exists() else b""
        effects.append((facts["seq"], facts["revision"], data))
    assert len(list((root / "out").glob("[!.]*/*.png"))) == sum(bool(data) for *_, data in effects)
    return sorted(effects)


def in_parquet(root: Path) -> list[Effect]:
    """Rows of the folder as one dataset."""
    rows = pyarrow.dataset.dataset(root / "out", format="parquet")
    if not rows.files:
        return []
    columns = rows.to_table(columns=["seq", "revision", "image"]).to_pylist()
    return sorted((row["seq"], row["revision"], row["image"] or b"") for row in columns)


def in_outbox(root: Path) -> list[Effect]:
    """What a subscriber that was never there would be sent."""
    outbox = Outbox(root / "ledger")
    found = outbox.after(0, EVERYTHING)
    outbox.close()
    assert [one.offset for one in found] == sorted({one.offset for one in found})
    return sorted((one.key.seq, one.revision, one.picture) for one in found)


def in_ledger(root: Path) -> list[Effect]:
    """Rows of the ledger, which has no pictures."""
    database = sqlite3.connect(root / "ledger")
    rows = database.execute("SELECT seq, revision FROM ends ORDER BY seq").fetchall()
    database.close()
    return [(seq, revision, b"pixels") for seq, revision in rows]


SINKS = [
    pytest.param(lambda root: FolderSink(Staging(root / "out")), in_folder, id="folder"),
    pytest.param(lambda root: ParquetSink(Staging(root / "out")), in_parquet, id="parquet"),
    pytest.param(lambda root: SubscriberSink(), in_outbox, id="subscriber"),
    pytest.param(lambda root: LedgerOnlySink(), in_ledger, id="ledger only"),
]
every_sink = pytest.mark.parametrize(("sink_of", "effects"), SINKS)
SinkOf = Callable[[Path], Sink]
Effects = Callable[[Path], list[Effect]]


# Exactly once


@every_sink
def test_batches_add_up(sink_of: SinkOf, effects: Effects, tmp_path: Path) -> None:
    receiver = Receiver.start(tmp_path / "ledger", sink_of(tmp_path))
    receiver.store([decoded(0), decoded(1, revision=3)])
    receiver.store([decoded(2)])
    assert effects(tmp_path) == [(0, 0, b"pixels"), (1, 3, b"pixels"), (2, 0, b"pixels")]


@every_sink
def test_crash_before_the_commit_leaves_nothing(
    sink_of: SinkOf, effects: Effects, tmp_path: Path
) -> None:
    first = Receiver.start(tmp_path / "ledger", sink_of(tmp_path))
    first.store([decoded(0)])
    first.store([decoded(1), decoded(2)], crash_after="write")
    assert effects(tmp_path) == [(0, 0, b"pixels")]
    # The sender sends them again, and meanwhile one has got its caption and one comes later.
    again = Receiver.start(tmp_path / "ledger", sink_of(tmp_path))
    again.store([decoded(1, revision=1)])
    assert effects(tmp_path) == [(0, 0, b"pixels"), (1, 1, b"pixels")]


@every_sink
def test_crash_after_the_commit_loses_nothing(
    sink_of: SinkOf, effects: Effects, tmp_path: Path
) -> None:
    first = Receiver.start(tmp_path / "ledger", sink_of(tmp_path))
    first.store([decoded(0), decoded(1)], crash_after="commit")
    # It is in the ledger, so nobody sends it again.
    again = Receiver.start(tmp_path / "ledger", sink_of(tmp_path))
    assert effects(tmp_path) == [(0, 0, b"pixels"), (1, 0, b"pixels")]
    again.store([decoded(2)])
    third = Receiver.start(tmp_path / "ledger", sink_of(tmp_path))
    third.store([decoded(3)])
    assert [seq for seq, *_ in effects(tmp_path)] == [0, 1, 2, 3]


@every_sink
def test_work_repeated_after_a_failed_commit_counts_once(
    sink_of: SinkOf, effects: Effects, tmp_path: Path
) -> None:
    receiver = Receiver.start(tmp_path / "ledger", sink_of(tmp_path))
    ends = [decoded(0), decoded(1)]
    deliveries = receiver.ledger.number(ends)
    receiver.sink.write(deliveries)

    def fills_the_disk(database: sqlite3.Connection) -> None:
        receiver.sink.record(database, deliveries)
        database.execute("CREATE TABLE filler AS SELECT randomblob(1 << 20)")

    pages = "PRAGMA max_page_count={}"
    receiver.ledger.connection.execute(pages.format(64))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        receiver.ledger.commit(ends, deliveries, [], fills_the_disk)
    receiver.ledger.connection.execute(pages.format(1 << 20))
    # One stream was fenced meanwhile: the same offsets come again with less in the batch.
    receiver.store(ends[:1])
    assert effects(tmp_path) == [(0, 0, b"pixels")]


# Files


def test_description_stands_beside_the_picture(tmp_path: Path) -> None:
    receiver = Receiver.start(tmp_path / "ledger", FolderSink(Staging(tmp_path / "out")))
    rejected = frame_end(decoded(7).frame, wire.DISPOSITION_REJECTED, "checksum of the symbols")
    receiver.store([decoded(6, revision=2), rejected])
    folder = tmp_path / "out" / "camera"
    assert sorted(path.name for path in folder.iterdir()) == [
        "1-00000006-photo.r2.json",
        "1-00000006-photo.r2.png",
        "1-00000007-photo.r0.json",
    ]
    assert (folder / "1-00000006-photo.r2.png").read_bytes() == b"pixels"
    facts = json.loads((folder / "1-00000006-photo.r2.json").read_text())
    assert facts["caption"] == "words 2"
    assert facts["disposition"] == "DECODED_WITH_TEXT"
    facts = json.loads((folder / "1-00000007-photo.r0.json").read_text())
    assert (facts["disposition"], facts["caption"]) == ("REJECTED", None)
    assert facts["reason"] == "checksum of the symbols"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\0b", "/" * 128, "..", "", "été/ñ", "x" * 128, "a\nb", "-rf"]
)
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    receiver = Receiver.start(tmp_path / "ledger", FolderSink(Staging(tmp_path / "out")))
    receiver.store([decoded(0, name=name)])
    files = [path for path in tmp_path.rglob("*.r0.*") if path.is_file()]
    assert [path.parent for path in files] == [tmp_path / "out" / "camera"] * 2
    assert all(path.name.startswith("1-00000000") and path.name.isascii() for path in files)
    (facts,) = (json.loads(path.read_text()) for path in files if path.suffix == ".json")
    assert facts["name"] == name


@pytest.mark.parametrize("kind", [FolderSink, ParquetSink])
def test_nothing_is_left_in_staging(
    kind: type[FolderSink] | type[ParquetSink], tmp_path: Path
) -> None:
    first = Receiver.start(tmp_path / "ledger", kind(Staging(tmp_path / "out")))
    first.store([decoded(0)])
    first.store([decoded(1)], crash_after="write")
    Receiver.start(tmp_path / "ledger", kind(Staging(tmp_path / "out")))
    assert list((tmp_path / "out" / ".staging").iterdir()) == []


def test_file_that_cannot_be_moved_becomes_visible_later(tmp_path: Path) -> None:
    receiver = Receiver.start(tmp_path / "ledger", FolderSink(Staging(tmp_path / "out")))
    in_the_way = tmp_path / "out" / "camera" / "1-00000000-photo.r0.png"
    in_the_way.mkdir(parents=True)
    receiver.store([decoded(0)])
    in_the_way.rmdir()
    receiver.store([decoded(1)])
    assert in_folder(tmp_path) == [(0, 0, b"pixels"), (1, 0, b"pixels")]


def test_parts_of_an_older_ledger_stay(tmp_path: Path) -> None:
    for number, ledger in enumerate(("one", "two")):
        receiver = Receiver.start(tmp_path / ledger, ParquetSink(Staging(tmp_path / "out")))
        receiver.store([decoded(number)])
    assert [seq for seq, *_ in in_parquet(tmp_path)] == [0, 1]


def test_parquet_holds_every_column(tmp_path: Path) -> None:
    receiver = Receiver.start(tmp_path / "ledger", ParquetSink(Staging(tmp_path / "out")))
    receiver.store(
        [decoded(4, revision=1), frame_end(decoded(5).frame, wire.DISPOSITION_EXPIRED, "late")]
    )
    rows = pyarrow.dataset.dataset(tmp_path / "out").to_table().sort_by("seq").to_pylist()
    first = {
        "offset": 1,
        "stream_id": "camera",
        "epoch": 1,
        "seq": 4,
        "revision": 1,
        "disposition": "DECODED_WITH_TEXT",
        "name": "photo",
        "content_id": "00" * 16,
        "caption": "words 1",
        "reason": "",
        "media_type": "image/png",
        "image": b"pixels",
        "bytes": len(b"container"),
        "codec": None,
        "quality": None,
        "width": None,
        "height": None,
        "received_at": None,
        "decoded_at": None,
    }
    assert rows[0] == first
    assert (rows[1]["disposition"], rows[1]["image"], rows[1]["reason"]) == (
        "EXPIRED",
        None,
        "late",
    )


# The outbox


def test_full_outbox_refuses_until_something_is_taken(tmp_path: Path) -> None:
    sink = SubscriberSink(Window(frames=2, bytes=1 << 20))
    receiver = Receiver.start(tmp_path / "ledger", sink)
    receiver.store([decoded(0), decoded(1)])
    with pytest.raises(OutboxFullError, match="holds 2 deliveries"):
        receiver.store([decoded(2)])
    outbox = Outbox(tmp_path / "ledger")
    outbox.forget(1)
    outbox.close()
    receiver.store([decoded(2)])
    assert [seq for seq, *_ in in_outbox(tmp_path)] == [1, 2]


def test_outbox_counts_bytes_but_takes_any_one_batch(tmp_path: Path) -> None:
    sink = SubscriberSink(Window(frames=100, bytes=1000))
    receiver = Receiver.start(tmp_path / "ledger", sink)
    receiver.store([decoded(0, picture=bytes(5000))])
    with pytest.raises(OutboxFullError, match="at most 100 and 1000"):
        receiver.store([decoded(1)])


# The subscriber


class Service:
    """The delivery service on a port, and the receiver that feeds it."""

    def __init__(self, receiver: Receiver, channel: grpc.aio.Channel) -> None:
        self.receiver = receiver
        self._stub = channel.stream_stream(
            SUBSCRIBE, SubscribeRequest.SerializeToString, SubscribeResponse.FromString
        )

    async def subscribe(self, done: int = 0) -> grpc.aio.StreamStreamCall:
        call = self._stub()
        # A service that refuses may have ended the call before the request is out: reading says why.
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(SubscribeRequest(done_offset=done))
        return call

    async def store(self, ends: Sequence[End]) -> None:
        """Store in a thread, as the pipeline does."""
        await asyncio.to_thread(self.receiver.store, ends)


def anybody(context: object) -> Principal:
    return Principal("anybody")


@asynccontextmanager
async def serving(
    root: Path, authenticate: Callable[[object], Principal] = anybody
) -> AsyncIterator[Service]:
    sink = SubscriberSink()
    receiver = Receiver.start(root / "ledger", sink)
    servicer = DeliveryServicer(root / "ledger", sink, authenticate)
    server = grpc.aio.server()
    delivery_pb2_grpc.add_DeliveryServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Service(receiver, channel)
    finally:
        await server.stop(grace=None)
        servicer.close()
        receiver.ledger.close()


async def offsets(call: grpc.aio.StreamStreamCall, count: int) -> list[int]:
    return [(await call.read()).offset for _ in range(count)]


async def refusal(call: grpc.aio.StreamStreamCall) -> tuple[grpc.StatusCode, Reason]:
    """How a call ends that the service ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    details = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    error = WireError.from_status(Status.FromString(details))
    return caught.value.code(), error.reason


def test_subscriber_gets_everything_in_order_and_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as service:
            await service.store([decoded(0), decoded(1, revision=2)])
            call = await service.subscribe()
            first, second = await call.read(), await call.read()
            assert (first.key.seq, first.caption, first.picture) == (0, "", b"pixels")
            assert (second.key.stream_id, second.revision, second.caption) == (
                "camera",
                2,
                "words 2",
            )
            await service.store([decoded(2)])  # while it waits
            assert (await call.read()).key.seq == 2
            await call.write(SubscribeRequest(done_offset=second.offset))
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
        async with serving(tmp_path) as service:
            assert await offsets(await service.subscribe(), 1) == [3]

    asyncio.run(scenario())


def test_nothing_is_sent_far_ahead_of_the_subscriber(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as service:
            await service.store([decoded(seq) for seq in range(AHEAD.frames + 10)])
            call = await service.subscribe()
            assert await offsets(call, AHEAD.frames) == list(range(1, AHEAD.frames + 1))
            await call.write(SubscribeRequest(done_offset=3))
            assert await offsets(call, 3) == [65, 66, 67]
            await call.write(SubscribeRequest(done_offset=67))
            assert await offsets(call, 7) == list(range(68, 75))

    asyncio.run(scenario())


def test_room_ends_at_either_bound() -> None:
    async def scenario() -> None:
        by_count, by_size = Subscription(), Subscription()
        for offset in range(1, AHEAD.frames + 1):
            assert by_count.room.frames > 0
            by_count.note_sent(SubscribeResponse(offset=offset))
        assert by_count.room == Window(0, 0)
        by_size.note_sent(SubscribeResponse(offset=9, picture=bytes(AHEAD.bytes)))
        assert by_size.room == Window(0, 0)
        by_size.note_done(9)
        assert by_size.room == AHEAD

    asyncio.run(scenario())


def test_second_subscriber_supersedes_the_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as service:
            await service.store([decoded(0), decoded(1)])
            older = await service.subscribe()
            assert await offsets(older, 2) == [1, 2]
            newer = await service.subscribe()
            assert await offsets(newer, 2) == [1, 2]
            assert await refusal(older) == (grpc.StatusCode.ABORTED, Reason.SUPERSEDED)
            await service.store([decoded(2)])
            assert await offsets(newer, 1) == [3]

    asyncio.run(scenario())


@pytest.mark.parametrize("first_message", [True, False])
def test_done_with_what_was_never_sent_is_refused(first_message: bool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as service:
            await service.store([decoded(0)])
            call = await service.subscribe(done=5 if first_message else 0)
            if not first_message:
                await offsets(call, 1)
                await call.write(SubscribeRequest(done_offset=5))
            assert await refusal(call) == (grpc.StatusCode.INVALID_ARGUMENT, Reason.MALFORMED)
            assert await offsets(await service.subscribe(), 1) == [1]

    asyncio.run(scenario())


def test_stranger_gets_nothing(tmp_path: Path) -> None:
    def authenticate(context: object) -> Principal:
        raise WireError(Reason.UNAUTHENTICATED, "no token")

    async def scenario() -> None:
        async with serving(tmp_path, authenticate) as service:
            await service.store([decoded(0)])
            call = await service.subscribe()
            code, reason = await refusal(call)
            assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, Reason.UNAUTHENTICATED)

    asyncio.run(scenario())
