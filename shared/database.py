"""A file of facts, such as a ledger or a journal: SQLite, WAL, synchronous=FULL.

Damage is never taken for a fact. New files appear whole, so one that is there is complete or refused;
SQLite finds damage to its own structure, and a checksum in each row finds the rest. A file that is sound
but cannot be used now (a full disk, a read-only place) is told apart from a damaged one.

Not found is damage to the write-ahead log of a process that was killed: SQLite ends the log where a
checksum differs, as it must after a power cut. Facts after that place are gone, none is invented.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c

from shared.errors import StorageError
from shared.pictures import write_atomically

__all__ = ["Database", "Kind", "Value", "checksum", "sealed"]

Value = str | bytes | int


@dataclass(frozen=True)
class Kind:
    """What is kept in a file.

    Attributes:
        name: what people call it.
        schema: SQL that makes it; each table that :meth:`Database.rows` reads ends with a checksum.
        advice: what a damaged one means, and what to do.
    """

    name: str
    version: int
    schema: str
    advice: str


class Database:
    """One file, used from one thread at a time.

    Raises:
        StorageError: it is damaged, of another version, or cannot be used; the message says what to do.
        SidewireError: it is new, and cannot be made.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path = path
        self._kind = kind
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                self._make()
            self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            with self.opening(), self.watched():
                self._set_up()
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from None
        except sqlite3.OperationalError as error:
            raise self._unusable(str(error)) from None

    def _make(self) -> None:
        log = self.path.with_name(f"{self.path.name}-wal")
        if log.exists():  # SQLite would play it into the new file
            raise self.damaged(f"{log.name} is there without it")
        with closing(sqlite3.connect(":memory:")) as fresh:
            fresh.executescript(self._kind.schema)
            fresh.execute(f"PRAGMA user_version={self._kind.version}")
            write_atomically(self.path, fresh.serialize())

    def _set_up(self) -> None:
        database = self.connection
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            raise self.damaged("it holds nothing")
        if version != self._kind.version:
            raise StorageError(
                f"the {self._kind.name} {self.path} is of version {version},"
                f" this build reads {self._kind.version}: use the build that wrote it"
            )
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("PRAGMA wal_autocheckpoint=4000")
        (problem,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if problem != "ok":
            raise self.damaged(problem)
        with self.transaction():
            # The same number again: a place that cannot be written shows now, not with the first fact.
            database.execute(f"PRAGMA user_version={version}")

    @contextmanager
    def opening(self) -> Iterator[None]:
        """A context for what is done first: if it fails, the file is closed again."""
        try:
            yield
        except BaseException:
            self.connection.close()
            raise

    def damaged(self, problem: str) -> StorageError:
        """The error that says so."""
        kind = self._kind
        return StorageError(f"the {kind.name} {self.path} is damaged ({problem}): {kind.advice}")

    def _unusable(self, problem: str) -> StorageError:
        return StorageError(
            f"cannot use the {self._kind.name} {self.path}: {problem}. Mend its place and start again"
        )

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A context for every use of the connection.

        Raises:
            sqlite3.OperationalError: the disk is full or gone; repeat it later.
            StorageError: the file is damaged.
        """
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.DatabaseError as error:
            if _is_of_the_place(error):
                raise
            raise self.damaged(str(error)) from None
        except UnicodeDecodeError as error:  # the name of a column
            raise self.damaged(error.reason) from None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable at the end.

        Raises:
            As :meth:`watched`; nothing was stored.
        """
        database = self.connection
        with self.watched():
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: Value) -> list[list[Any]]:
        """What a query finds; its last column is the checksum, which is tested and left out.

        Raises:
            As :meth:`watched`.
        """
        with self.watched():
            found = self.connection.execute(query, values).fetchall()
        for *row, crc in found:
            if checksum(row) != crc:
                raise self.damaged(f"checksum of the row {row[:2]}")
        return [row for *row, _ in found]

    def close(self) -> None:
        """Fold the write-ahead log in and close; what cannot be folded in now is safe in the log."""
        with closing(self.connection), suppress(sqlite3.DatabaseError):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def checksum(row: Sequence[Value]) -> int:
    """CRC32C over a row: the type and length of each value, then the values."""
    parts = [value if isinstance(value, bytes) else str(value).encode() for value in row]
    shape = [f"{type(value).__name__}{len(part)}" for value, part in zip(row, parts, strict=True)]
    crc: int = google_crc32c.value(b"".join((",".join(shape).encode(), *parts)))
    return crc


def sealed(*row: Value) -> tuple[Value, ...]:
    """A row with its checksum, as it is stored."""
    return (*row, checksum(row))


def _is_of_the_place(error: sqlite3.DatabaseError) -> bool:
    """The file may be sound. SQLITE_ERROR is a table that is not what it was; no name, text that is not."""
    name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    return isinstance(error, sqlite3.OperationalError) and name != "SQLITE_ERROR"
