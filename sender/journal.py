"""What a picture sender must not forget: its epoch, how far it has read, and every frame not yet acked.

A frame is in the journal before it is on the wire, and leaves it when an ack names it. SQLite, WAL,
synchronous=FULL; all calls come from one thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shared.errors import SidewireError, StorageError

__all__ = ["Journal", "Outgoing", "Place"]

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE place (
    one INTEGER PRIMARY KEY CHECK (one = 1), stream_id TEXT NOT NULL, epoch INTEGER NOT NULL,
    session_id TEXT NOT NULL, next_seq INTEGER NOT NULL, complete INTEGER NOT NULL
);
CREATE TABLE frames (
    seq INTEGER PRIMARY KEY, name TEXT NOT NULL, content_id BLOB NOT NULL,
    container BLOB NOT NULL, reason TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame on its way; an empty ``container`` says why there is none in ``reason``."""

    seq: int
    name: str
    content_id: bytes
    container: bytes
    reason: str = ""

    @property
    def size(self) -> int:
        """What it takes of the byte credit."""
        return len(self.container)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sender is.

    Attributes:
        epoch: 0 while no receiver has been asked.
        next_seq: the first picture of the feed that is not yet in the journal.
        complete: everything was acked and the session closed.
    """

    stream_id: str
    epoch: int = 0
    session_id: str = ""
    next_seq: int = 0
    complete: bool = False


class Journal:
    """One stream's journal.

    Raises:
        StorageError: it is damaged, read-only, or of another version; the message says what to do.
        SidewireError: it is another stream's.
    """

    def __init__(self, path: Path, stream_id: str) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._set_up(stream_id)
        except sqlite3.DatabaseError as error:
            raise StorageError(self._advice(str(error))) from None
        except OSError as error:
            raise StorageError(f"cannot open the journal {path}: {error.strerror}") from None
        if self.place().stream_id != stream_id:
            raise SidewireError(
                f"the journal {path} is of stream {self.place().stream_id!r}, not {stream_id!r}"
            )

    def _set_up(self, stream_id: str) -> None:
        database = self._database
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            raise StorageError(
                f"the journal {self.path} is of version {version}, this build reads {SCHEMA_VERSION}"
            )
        if version == 0:
            database.executescript(
                f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
            )
        problem = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise StorageError(self._advice(problem))
        # Also what finds out that the file is read-only, before anything was encoded.
        database.execute(
            "INSERT INTO place VALUES (1, ?, 0, '', 0, 0) ON CONFLICT DO UPDATE SET one=1",
            (stream_id,),
        )

    def _advice(self, problem: str) -> str:
        return (
            f"the journal {self.path} cannot be used ({problem}): nothing is sent from it. Mend the"
            " place, or move the file away to send the feed from the start in a new epoch"
        )

    def place(self) -> Place:
        """Where the sender is."""
        row = self._database.execute(
            "SELECT stream_id, epoch, session_id, next_seq, complete FROM place"
        ).fetchone()
        stream_id, epoch, session_id, next_seq, complete = row
        return Place(stream_id, epoch, session_id, next_seq, bool(complete))

    def unacked(self) -> list[Outgoing]:
        """Every frame that no ack has named, in order."""
        rows = self._database.execute(
            "SELECT seq, name, content_id, container, reason FROM frames ORDER BY seq"
        )
        return [Outgoing(*row) for row in rows]

    def enter(self, epoch: int, session_id: str) -> None:
        """The receiver has said which epoch and session this is."""
        self._database.execute("UPDATE place SET epoch=?, session_id=?", (epoch, session_id))

    def add(self, frames: Sequence[Outgoing]) -> None:
        """Frames that may be sent from now on, and the place after the last of them.

        Raises:
            sqlite3.OperationalError: the disk is full; nothing was stored.
        """
        rows = [(one.seq, one.name, one.content_id, one.container, one.reason) for one in frames]
        with self._transaction():
            self._database.executemany("INSERT INTO frames VALUES (?,?,?,?,?)", rows)
            self._database.execute("UPDATE place SET next_seq=?", (frames[-1].seq + 1,))

    def forget(self, seqs: Iterable[int]) -> None:
        """Frames that an ack has named."""
        with self._transaction():
            self._database.executemany("DELETE FROM frames WHERE seq=?", [(seq,) for seq in seqs])

    def finish(self) -> None:
        """All was acked, and the session is closed."""
        self._database.execute("UPDATE place SET complete=1")

    def restart(self) -> None:
        """Begin the feed again, in a new epoch."""
        with self._transaction():
            self._database.execute("DELETE FROM frames")
            self._database.execute(
                "UPDATE place SET epoch=0, session_id='', next_seq=0, complete=0"
            )

    def close(self) -> None:
        """Fold the write-ahead log in and close."""
        with closing(self._database):
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _transaction(self) -> Transaction:
        return Transaction(self._database)


class Transaction:
    """All or nothing."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._database.execute("COMMIT")
        elif self._database.in_transaction:
            self._database.execute("ROLLBACK")
