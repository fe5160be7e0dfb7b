"""The journal: a frame is in it before it can be sent, and leaves it only when an ack names it."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from sender.journal import Journal, Outgoing, Place
from sender.send import only_one
from shared.errors import SidewireError, StorageError
from tests.storage import fill, flips, put, read_only, small_disk, snapshot


def frame(seq: int, size: int = 100) -> Outgoing:
    return Outgoing(seq, f"p{seq}", bytes([seq % 256]) * 16, bytes([seq % 256]) * size)


@contextmanager
def opened(path: Path, stream_id: str = "camera") -> Iterator[Journal]:
    journal = Journal(path, stream_id)
    try:
        yield journal
    finally:
        journal.close()


# A life


def test_a_new_journal_is_at_the_start(tmp_path: Path) -> None:
    with opened(tmp_path / "deep" / "journal") as journal:
        assert journal.place() == Place("camera", epoch=0, session_id="", next_seq=0)
        assert journal.unacked() == []


def test_everything_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    skipped = Outgoing(2, "p2", bytes(16), b"", "not a picture")
    with opened(path) as journal:
        journal.enter(3, "session")
        journal.add([frame(0), frame(1), skipped])
        journal.add([frame(3)])
        journal.forget([1, 99])
    with opened(path) as journal:
        assert journal.place() == Place("camera", 3, "session", next_seq=4)
        assert journal.unacked() == [frame(0), skipped, frame(3)]
        journal.forget([0, 2, 3])
        journal.finish()
    with opened(path) as journal:
        assert journal.place() == Place("camera", 3, "session", next_seq=4, complete=True)
        assert journal.unacked() == []


def test_a_restart_begins_the_feed_in_a_new_epoch(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path) as journal:
        journal.enter(3, "session")
        journal.add([frame(0), frame(1)])
        journal.finish()
        journal.restart()
    with opened(path) as journal:
        assert journal.place() == Place("camera")
        assert journal.unacked() == []
        journal.add([frame(0)])


def test_another_streams_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with opened(path) as journal:
        journal.add([frame(0)])
    with pytest.raises(SidewireError, match="is of stream 'camera', not 'other'"):
        Journal(path, "other")
    with opened(path) as journal:
        assert journal.unacked() == [frame(0)]


# Kills and neighbours


def add_for_ever(path: Path, tell: Connection) -> None:
    """Add frame after frame, forget every third, and tell what was done, in a process of its own."""
    journal = Journal(path, "camera")
    seq = journal.place().next_seq
    while True:
        journal.add([frame(seq)])
        tell.send(("added", seq))
        if seq % 3 == 0:
            journal.forget([seq])
            tell.send(("forgot", seq))
        seq += 1


def test_what_was_added_outlives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    context = multiprocessing.get_context("spawn")
    heard: list[tuple[str, int]] = []
    for _ in range(3):
        ours, theirs = context.Pipe()
        process = context.Process(target=add_for_ever, args=(path, theirs))
        process.start()
        theirs.close()
        heard += [ours.recv() for _ in range(20)]
        process.kill()
        process.join()
        with suppress(EOFError):  # what it had said before the kill
            while True:
                heard.append(ours.recv())
        added = [seq for what, seq in heard if what == "added"]
        forgotten = {seq for what, seq in heard if what == "forgot"}
        assert len(added) == len(set(added))
        with opened(path) as journal:
            after = journal.place().next_seq
            assert after in {len(added), len(added) + 1, added[-1] + 1, added[-1] + 2}
            left = {one.seq for one in journal.unacked()}
            may_be_forgotten = set(range(0, after, 3))
            assert left >= set(range(after)) - may_be_forgotten
            assert not left & forgotten
            assert journal.unacked() == [frame(seq) for seq in sorted(left)]


def hold(folder: Path, tell: Connection) -> None:
    """Hold a folder until the other side hangs up, in a process of its own."""
    with only_one(folder):
        tell.send("held")
        with suppress(EOFError):
            tell.recv()


def test_a_second_sender_is_refused_and_a_killed_one_is_no_hindrance(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=hold, args=(tmp_path, theirs))
    process.start()
    assert ours.recv() == "held"
    with pytest.raises(SidewireError, match="in use by another process"), only_one(tmp_path):
        pass
    process.kill()
    process.join()
    with only_one(tmp_path), opened(tmp_path / "journal") as journal:
        assert journal.unacked() == []


def test_a_number_is_given_once(tmp_path: Path) -> None:
    """Two journals of one file are kept apart by :func:`only_one`; without it the second one is stopped."""
    path = tmp_path / "journal"
    with opened(path) as first, opened(path) as second:
        first.add([frame(0), frame(1)])
        with pytest.raises(StorageError, match="UNIQUE constraint failed"):
            second.add([frame(2), frame(1)])
        assert first.unacked() == second.unacked() == [frame(0), frame(1)]
        assert second.place().next_seq == 2


# Damage

FRAMES = [frame(3), frame(4), frame(6)]
PLACE = Place("camera", 2, "session", next_seq=7)


@pytest.fixture
def sound(tmp_path: Path) -> bytes:
    """A small journal that was closed in order."""
    path = tmp_path / "sound"
    with opened(path) as journal:
        journal.enter(2, "session")
        journal.add([frame(seq) for seq in range(7)])
        journal.forget([0, 1, 2, 5])
    return path.read_bytes()


def is_right_or_refused(path: Path) -> bool:
    """Whether the journal may be used; if so, everything in it is as it was."""
    try:
        with opened(path) as journal:
            assert journal.place() == PLACE
            assert journal.unacked() == FRAMES
    except StorageError as error:
        assert str(path) in str(error)
        assert (
            "ove it away" in str(error) or "Mend its place" in str(error) or "build" in str(error)
        )
        return False
    return True


def test_one_flipped_bit_is_found_or_changes_nothing(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    outcomes = []
    for damaged in flips(sound, step=7):
        put(path, {"": damaged})
        outcomes.append(is_right_or_refused(path))
    assert outcomes.count(False) > 20
    assert outcomes.count(True) > 20  # what is left of frames that were forgotten


def test_a_flipped_bit_in_a_stored_value_is_always_found(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for value in (b"camera", b"session", b"p4", frame(6).container):
        place = sound.rindex(value)
        for damaged in flips(sound[place : place + len(value)], step=1):
            put(path, {"": sound[:place] + damaged + sound[place + len(value) :]})
            assert not is_right_or_refused(path)


@pytest.mark.parametrize("length", [0, 1, 99, 100, 4096, -4096])
def test_a_truncated_journal_is_refused(sound: bytes, tmp_path: Path, length: int) -> None:
    path = tmp_path / "journal"
    put(path, {"": sound[:length]})
    with pytest.raises(StorageError, match="nothing is sent from it"):
        Journal(path, "camera")
    assert path.read_bytes() == sound[:length]


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(StorageError, match=r"is damaged .file is not a database.*Move it away"):
        Journal(path, "camera")


def test_another_version_is_refused_with_both_numbers(sound: bytes, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "sound")) as database:
        database.execute("PRAGMA user_version=7")
    with pytest.raises(StorageError, match="is of version 7, this build reads 1"):
        Journal(tmp_path / "sound", "camera")


def test_a_damaged_log_loses_its_tail_and_invents_nothing(tmp_path: Path) -> None:
    """A damaged end is cut, as in a ledger. A frame that is gone from the journal, and from its place, is
    encoded again."""
    path = tmp_path / "journal"
    with opened(path) as journal:
        for seq in range(6):
            journal.add([frame(seq)])
        files = snapshot(path)
    history = []
    for log in flips(files["-wal"], step=97):
        put(path, files | {"-wal": log})
        with opened(path) as journal:
            done = journal.place().next_seq
            assert journal.unacked() == [frame(seq) for seq in range(done)]
        history.append(done)
    assert min(history) == 0
    assert len(set(history)) > 3


# Places


def test_a_read_only_file_or_folder_is_refused_at_once(sound: bytes, tmp_path: Path) -> None:
    for place in (tmp_path / "sound", tmp_path):
        with (
            read_only(place),
            pytest.raises(StorageError, match=r"cannot use the journal .*Mend its place"),
        ):
            Journal(tmp_path / "sound", "camera")
    with opened(tmp_path / "sound") as journal:
        assert journal.unacked() == FRAMES


def test_a_full_disk_stores_nothing_and_the_same_call_works_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, opened(disk / "journal") as journal:
        journal.add([frame(0)])
        filler = fill(disk)
        frames = [frame(seq, size=8000) for seq in range(1, 5)]
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="full"):
                journal.add(frames)
            assert journal.place().next_seq == 1
            assert journal.unacked() == [frame(0)]
        filler.unlink()
        journal.add(frames)
        assert journal.place().next_seq == 5
        assert journal.unacked() == [frame(0), *frames]
