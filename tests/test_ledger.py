"""The ledger: what is in it stays in it, what is not in it is never acknowledged, and damage is no fact."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from receiver import pipeline as pipelines
from receiver.decoders.noop import NoOpPool
from receiver.flow import Account
from receiver.joiner import JoinPolicy
from receiver.ledger import Ledger, StreamRow
from receiver.pipeline import Pipeline
from receiver.session import Session
from receiver.sinks.ledger_only import LedgerOnlySink
from receiver.work import Caption, End, Frame, Key, caption_end
from shared.bitstream.container import Container
from shared.bitstream.header import MODEL_ID_BYTES, Header
from shared.errors import StorageError
from shared.wire.limits import Limits, Window
from shared.wire.positions import Positions
from shared.wire.v1 import types_pb2 as wire
from tests.storage import fill, flips, put, read_only, small_disk, snapshot

CONTENT = bytes(range(16))


def picture(seq: int, size: int = 100, revision: int = 0) -> End:
    key = Key("camera", 1, seq)
    frame = Frame(key, bytes([seq % 256]) * 16, f"p{seq}", bytes([seq % 256]) * size, True)
    words = caption(seq, revision) if revision else None
    disposition = wire.DISPOSITION_DECODED_NO_TEXT
    if revision:
        disposition = wire.DISPOSITION_DECODED_WITH_TEXT
    return End(
        key, revision, disposition, True, words is not None, frame, words, b"pixels", "image/png"
    )


def caption(seq: int, revision: int = 1) -> Caption:
    return Caption(Key("camera", 1, seq), bytes([seq % 256]) * 16, revision, "fox", "en", 1e9)


def stream(*ended: int, stream_id: str = "camera") -> StreamRow:
    images = Positions()
    for seq in ended:
        images.add(seq)
    return StreamRow(stream_id, 1, "id", "sender", True, images, Positions())


def store(ledger: Ledger, ends: list[End], *rows: StreamRow) -> list[int]:
    """Commit, and the offsets that were given."""
    deliveries = ledger.number(ends)
    ledger.commit(ends, deliveries, rows, lambda database: None)
    return [one.offset for one in deliveries]


@contextmanager
def opened(
    path: Path, late_window: float = 60.0, now: Callable[[], float] = lambda: 0.0
) -> Iterator[Ledger]:
    ledger = Ledger(path, late_window, now)
    try:
        yield ledger
    finally:
        ledger.close()


def count(ledger: Ledger, table: str) -> int:
    (number,) = ledger.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(number)


# Durability


def commit_for_ever(path: Path, tell: Connection) -> None:
    """Commit picture after picture, and tell the offset of each, in a process of its own."""
    ledger = Ledger(path, 60.0, lambda: 0.0)
    done = ledger.streams()[0].images.cumulative if ledger.streams() else 0
    while True:
        offsets = store(ledger, [picture(done)], stream(*range(done + 1)))
        tell.send((done, offsets[0]))
        done += 1


def test_what_is_committed_outlives_a_kill_and_offsets_never_come_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    context = multiprocessing.get_context("spawn")
    heard: list[tuple[int, int]] = []
    for _ in range(3):
        ours, theirs = context.Pipe()
        process = context.Process(target=commit_for_ever, args=(path, theirs))
        process.start()
        theirs.close()
        heard += [ours.recv() for _ in range(20)]
        process.kill()
        process.join()
        with suppress(EOFError):  # what it had said before the kill
            while True:
                heard.append(ours.recv())
        with opened(path) as ledger:
            (row,) = ledger.streams()
            ended = {seq for seq, _ in heard}
            assert row == stream(*range(row.images.cumulative))
            assert ended <= set(range(row.images.cumulative))
            assert count(ledger, "ends") == row.images.cumulative
    assert [offset for _, offset in heard] == sorted({offset for _, offset in heard})


def test_positions_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    rows = [stream(0, 1, 5, 6, 9, 1 << 62), stream(stream_id="empty")]
    with opened(path) as ledger:
        store(ledger, [], *rows)
    with opened(path) as ledger:
        assert ledger.streams() == rows


def test_an_end_is_stored_once_and_the_first_one_stands(tmp_path: Path) -> None:
    with opened(tmp_path / "ledger") as ledger:
        store(ledger, [picture(0, revision=1)])
        store(ledger, [caption_end(caption(0), wire.DISPOSITION_EXPIRED), picture(1)])
        found = ledger.connection.execute("SELECT seq, revision, disposition FROM ends").fetchall()
    assert found == [
        (0, 1, wire.DISPOSITION_DECODED_WITH_TEXT),
        (1, 0, wire.DISPOSITION_DECODED_NO_TEXT),
    ]


def test_claiming_a_stream_keeps_its_positions(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with opened(path) as ledger:
        free = StreamRow("camera", 1, "id", "sender", False, Positions(), Positions(7))
        ledger.begin(free)
        store(ledger, [picture(0)], StreamRow(*_fields(free)[:5], Positions(1), Positions(7)))
        ledger.claim("camera")
        ledger.claim("no such stream")
    with opened(path) as ledger:
        assert ledger.streams() == [
            StreamRow("camera", 1, "id", "sender", True, Positions(1), Positions(7))
        ]


def _fields(row: StreamRow) -> list[object]:
    return [getattr(row, name) for name in StreamRow.__slots__]


def test_a_container_is_kept_for_late_captions_and_no_longer(tmp_path: Path) -> None:
    clock = [1000.0]
    with opened(tmp_path / "ledger", 60.0, lambda: clock[0]) as ledger:
        store(ledger, [picture(0)])
        clock[0] += 30
        store(ledger, [picture(1)])
        clock[0] += 29.9
        assert ledger.purge(10) == 0
        assert ledger.look_up(caption(0)).kept == picture(0).frame
        clock[0] += 0.1
        assert ledger.look_up(caption(0)).kept is None
        assert ledger.look_up(caption(0)).frame_ended
        assert ledger.look_up(caption(1)).kept == picture(1).frame
        assert ledger.purge(10) == 1
        clock[0] += 1e6
        store(ledger, [picture(seq) for seq in range(2, 7)])
        clock[0] += 60
        assert [ledger.purge(4), ledger.purge(4), count(ledger, "kept")] == [4, 2, 0]
        assert count(ledger, "ends") == 7


def test_nothing_is_kept_without_a_late_window(tmp_path: Path) -> None:
    with opened(tmp_path / "ledger", 0.0) as ledger:
        store(ledger, [picture(0)])
        assert count(ledger, "kept") == 0


def test_the_lookup_tells_captions_and_pictures_apart(tmp_path: Path) -> None:
    with opened(tmp_path / "ledger") as ledger:
        store(ledger, [caption_end(caption(0, 2), wire.DISPOSITION_EXPIRED)])
        before = ledger.look_up(caption(0, 2))
        assert (before.caption_ended, before.frame_ended, before.kept) == (True, False, None)
        assert ledger.content_id(Key("camera", 1, 0)) is None
        store(ledger, [picture(0)])
        after = ledger.look_up(caption(0, 1))
        assert (after.caption_ended, after.frame_ended) == (False, True)
        assert ledger.content_id(Key("camera", 1, 0)) == picture(0).frame.content_id
        assert not ledger.look_up(caption(1)).frame_ended


def test_a_record_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(database: sqlite3.Connection) -> None:
        database.execute("CREATE TABLE half (x)")
        raise OSError("the sink is gone")

    with opened(tmp_path / "ledger") as ledger:
        deliveries = ledger.number([picture(0)])
        with pytest.raises(OSError, match="the sink is gone"):
            ledger.commit([picture(0)], deliveries, [stream(0)], fail)
        assert ledger.streams() == []
        assert count(ledger, "ends") == 0
        assert count(ledger, "sqlite_schema WHERE name='half'") == 0
        assert store(ledger, [picture(0)]) == [1]


# Damage

ENDS = [picture(0), picture(1, revision=1), picture(2), picture(5, revision=3)]
ROWS = [stream(0, 1, 2, 5), stream(7, 9, 300, stream_id="other")]
OFFSET = 1 + len(ENDS)


@pytest.fixture
def sound(tmp_path: Path) -> bytes:
    """A small ledger that was closed in order."""
    path = tmp_path / "sound"
    with opened(path) as ledger:
        store(ledger, ENDS, *ROWS)
    assert not path.with_name("sound-wal").exists()
    return path.read_bytes()


def is_right_or_refused(path: Path) -> bool:
    """Whether the ledger may be used; if so, everything that acks could come from is as it was.

    What nobody would notice is a key in ``ends`` that became another, which leaves an end out: its caption
    is then taken for a new one, and what comes of that is stored before it is acked. Of what is kept,
    the name may be wrong; a container has a checksum of its own.
    """
    try:
        ledger = Ledger(path, 60.0, lambda: 0.0)
    except StorageError as error:
        assert str(path) in str(error)
        assert (
            "ove it away" in str(error) or "Mend its place" in str(error) or "build" in str(error)
        )
        return False
    try:
        assert ledger.streams() == ROWS
        assert [one.offset for one in ledger.number(ENDS[:1])] == [OFFSET]
        for seq in range(8):
            for revision in range(5):
                found = ledger.look_up(caption(seq, revision))
                ended = [end for end in ENDS if end.key.seq == seq]
                assert not found.caption_ended or revision in [end.revision for end in ended]
                assert not found.frame_ended or ended
                if found.kept is not None:
                    assert found.kept.key == ended[0].key
                    assert found.kept.content_id == ended[0].frame.content_id
                    assert ledger.content_id(found.kept.key) == found.kept.content_id
    except StorageError as error:
        assert str(path) in str(error)
        return False
    finally:
        ledger.close()
    return True


def test_one_flipped_bit_is_found_or_changes_nothing(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    outcomes = []
    for damaged in flips(sound, step=7):
        put(path, {"": damaged})
        outcomes.append(is_right_or_refused(path))
    assert outcomes.count(False) > 20
    assert outcomes.count(True) > 20  # a kept container is left to its own checksum


def test_a_flipped_bit_in_a_stored_value_is_always_found(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    for value in (b"next_offset", b"sender", ROWS[1].images.to_message().SerializeToString()):
        place = sound.rindex(value)
        for damaged in flips(sound[place : place + len(value)], step=1):
            put(path, {"": sound[:place] + damaged + sound[place + len(value) :]})
            assert not is_right_or_refused(path)


@pytest.mark.parametrize("length", [0, 1, 99, 100, 512, 4096, 8192, -4096])
def test_a_truncated_ledger_is_refused(sound: bytes, tmp_path: Path, length: int) -> None:
    path = tmp_path / "ledger"
    put(path, {"": sound[:length]})
    with pytest.raises(StorageError, match="nothing is acknowledged from it"):
        Ledger(path, 60.0, lambda: 0.0)
    assert path.read_bytes() == sound[:length]


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(StorageError, match=r"is damaged .file is not a database.*move it away"):
        Ledger(path, 60.0, lambda: 0.0)
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match=r"cannot use the ledger .*: unable to open"):
        Ledger(path, 60.0, lambda: 0.0)


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="it holds nothing"):
        Ledger(path, 60.0, lambda: 0.0)
    assert path.read_bytes() == before


def test_another_version_is_refused_with_both_numbers(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sound"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=7")
    with pytest.raises(StorageError, match="is of version 7, this build reads 1"):
        Ledger(path, 60.0, lambda: 0.0)


def test_a_log_without_its_ledger_is_not_played_into_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with opened(path) as ledger:
        store(ledger, ENDS, *ROWS)
        files = snapshot(path)
    put(path, {"-wal": files["-wal"]})
    with pytest.raises(StorageError, match="ledger-wal is there without it"):
        Ledger(path, 60.0, lambda: 0.0)
    assert not path.exists()
    put(path, files)
    with opened(path) as ledger:
        assert ledger.streams() == ROWS


def test_a_damaged_log_loses_its_tail_and_invents_nothing(tmp_path: Path) -> None:
    """SQLite ends a log where a checksum differs, as a power cut leaves such ends; it cannot tell them apart.

    So commits may be gone, acked ones too, but what is left is a state that the ledger had.
    A log exists only while a receiver runs, or after it was killed: closing folds it in.
    """
    path = tmp_path / "ledger"
    with opened(path) as ledger:
        for seq in range(6):
            store(ledger, [picture(seq)], stream(*range(seq + 1)))
        files = snapshot(path)
    history = []
    logs = [*flips(files["-wal"], step=97), *(files["-wal"][:size] for size in (0, 31, 5000))]
    for log in logs:
        put(path, files | {"-wal": log})
        with opened(path) as ledger:
            rows = ledger.streams()
            done = rows[0].images.cumulative if rows else 0
            assert rows == ([stream(*range(done))] if done else [])
            assert count(ledger, "ends") == count(ledger, "kept") == done
            assert ledger.number([picture(9)])[0].offset == done + 1
        history.append(done)
    assert min(history) == 0
    assert len(set(history)) > 3


def tear(path: Path) -> None:
    """Damage that a receiver meets while it runs."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE ends")


def test_damage_that_appears_while_it_runs_is_told_and_nothing_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with opened(path) as ledger:
        store(ledger, [picture(0)], stream(0))
    with opened(path) as ledger:
        tear(path)
        with pytest.raises(StorageError, match="is damaged"):
            store(ledger, [picture(1)], stream(0, 1))
        with pytest.raises(StorageError, match="is damaged"):
            ledger.look_up(caption(0))
        assert ledger.streams() == [stream(0)]


# Places


def test_a_read_only_file_is_refused_at_once(sound: bytes, tmp_path: Path) -> None:
    with (
        read_only(tmp_path / "sound"),
        pytest.raises(StorageError, match=r"cannot use the ledger .*readonly.*Mend its place"),
    ):
        Ledger(tmp_path / "sound", 60.0, lambda: 0.0)


def test_a_read_only_folder_is_refused_at_once(sound: bytes, tmp_path: Path) -> None:
    with read_only(tmp_path):
        with pytest.raises(StorageError, match="cannot use the ledger"):
            Ledger(tmp_path / "sound", 60.0, lambda: 0.0)
        with pytest.raises(StorageError, match=r"cannot use the ledger .*Read-only file system"):
            Ledger(tmp_path / "new" / "ledger", 60.0, lambda: 0.0)


def test_a_full_disk_stores_nothing_and_the_same_commit_works_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, opened(disk / "ledger") as ledger:
        store(ledger, [picture(0)], stream(0))
        filler = fill(disk)
        ends = [picture(seq, size=8000) for seq in range(1, 5)]
        row = stream(0, 1, 2, 3, 4)
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="full"):
                store(ledger, ends, row)
            assert ledger.streams() == [stream(0)]
            assert count(ledger, "ends") == 1
        filler.unlink()
        assert store(ledger, ends, row) == [2, 3, 4, 5]
        ledger.close()
        with opened(disk / "ledger") as again:
            assert again.streams() == [row]
            assert count(again, "kept") == 5


def test_a_ledger_on_a_full_disk_is_refused_without_a_word_of_damage(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        with opened(disk / "ledger") as ledger:
            store(ledger, [picture(0)], stream(0))
        filler = fill(disk)
        with pytest.raises(StorageError, match="Mend its place") as caught:
            Ledger(disk / "ledger", 60.0, lambda: 0.0)
        assert "damaged" not in str(caught.value)
        filler.unlink()
        with opened(disk / "ledger") as ledger:
            assert ledger.streams() == [stream(0)]


# The pipeline on a full disk


class Heard(logging.Handler):
    """An event that is set when a message of this level is logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.event.set()


def admitted(seq: int) -> Frame:
    header = Header(codec_id=1, model_id=bytes(MODEL_ID_BYTES), width=64, height=64, quality=0)
    container = Container.seal(header, (), lambda _: bytes(8000)).to_bytes()
    return Frame(Key("camera", 1, seq), CONTENT, f"p{seq}", container, expects_caption=False)


def test_a_full_disk_stops_acks_and_freed_room_brings_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "RETRY_SECONDS", 0.02)

    async def play(disk: Path) -> None:
        accounts = (Account(Window(100, 1 << 20)), Account(Window(100, 1 << 20)))
        session = Session("camera", 1, "id", "sender", JoinPolicy(), Limits(), accounts)
        session.images.attach()
        ended = asyncio.Event()
        ledger = Ledger(disk / "ledger", 60.0, lambda: 0.0)
        sink, pool = LedgerOnlySink(), NoOpPool()
        pipeline = Pipeline(ledger, sink, pool, 64, lambda _: ended.set())
        heard = Heard(logging.ERROR)
        logging.getLogger("sidewire.receiver").addHandler(heard)
        running = asyncio.create_task(pipeline.run())
        try:
            filler = fill(disk)
            for seq in range(5):
                pipeline.perform(session, session.frame(admitted(seq), 0.0))
            await heard.event.wait()
            assert "full" in pipeline.trouble
            assert not ended.is_set()
            assert session.images.outcomes == []
            assert session.images.positions == Positions()
            assert session.images.held == 5

            filler.unlink()
            while len(session.images.outcomes) < 5:
                await ended.wait()
                ended.clear()
            assert pipeline.trouble == ""
            assert session.images.positions == Positions(5)
            assert session.images.held == 0
        finally:
            logging.getLogger("sidewire.receiver").removeHandler(heard)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            pipeline.close()

    with small_disk(tmp_path / "disk") as disk:
        asyncio.run(play(disk))
        with opened(disk / "ledger") as ledger:
            assert [row.images for row in ledger.streams()] == [Positions(5)]
            assert count(ledger, "ends") == 5


def test_damage_ends_the_pipeline_and_nothing_is_acked(tmp_path: Path) -> None:
    async def play() -> None:
        accounts = (Account(Window(100, 1 << 20)), Account(Window(100, 1 << 20)))
        session = Session("camera", 1, "id", "sender", JoinPolicy(), Limits(), accounts)
        session.images.attach()
        path = tmp_path / "ledger"
        with opened(path) as ledger:
            store(ledger, [picture(9)])
        ledger = Ledger(path, 60.0, lambda: 0.0)
        pipeline = Pipeline(ledger, LedgerOnlySink(), NoOpPool(), 64, lambda _: None)
        tear(path)
        pipeline.perform(session, session.frame(admitted(0), 0.0))
        with pytest.raises(ExceptionGroup) as caught:
            await pipeline.run()
        assert caught.group_contains(StorageError, match="is damaged")
        assert session.images.outcomes == []
        assert session.images.positions == Positions()
        pipeline.close()

    asyncio.run(play())
