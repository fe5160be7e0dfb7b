"""What has ended, for ever: SQLite, WAL, synchronous=FULL. A row is a fact; an ack only repeats it.

One transaction holds the ends of a batch, the positions after it, the containers kept for late captions,
and whatever the sink records. All calls come from one thread. SQLite notices damage to its structure;
stream rows, which acks are made from, carry a checksum of their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import google_crc32c

from receiver.session import Found, Session
from receiver.work import Caption, Delivery, End, Frame, Key
from shared.errors import StorageError
from shared.wire.positions import Positions
from shared.wire.v1 import types_pb2 as wire

__all__ = ["Ledger", "StreamRow"]

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE streams (
    stream_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, session_id TEXT NOT NULL, sender TEXT NOT NULL,
    claimed INTEGER NOT NULL, images BLOB NOT NULL, captions BLOB NOT NULL, crc32c INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE ends (
    stream_id TEXT, epoch INTEGER, seq INTEGER, revision INTEGER,
    disposition INTEGER NOT NULL, frame_ended INTEGER NOT NULL,
    content_id BLOB NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq, revision)
) WITHOUT ROWID;
CREATE TABLE kept (
    stream_id TEXT, epoch INTEGER, seq INTEGER, until REAL NOT NULL,
    content_id BLOB NOT NULL, name TEXT NOT NULL, container BLOB NOT NULL,
    UNIQUE (stream_id, epoch, seq)
);
CREATE INDEX kept_until ON kept (until);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('next_offset', 1);
"""


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream as it is stored.

    Attributes:
        claimed: a picture sender has opened it; until then its epoch is free to take.
    """

    stream_id: str
    epoch: int
    session_id: str
    sender: str
    claimed: bool
    images: Positions
    captions: Positions

    @classmethod
    def of(cls, session: Session, images: Positions, captions: Positions) -> StreamRow:
        """A session as it will be with these positions."""
        return cls(
            session.stream_id,
            session.epoch,
            session.session_id,
            session.sender,
            session.claimed,
            images,
            captions,
        )

    def checksum(self, images: bytes, captions: bytes) -> int:
        """CRC32C over all other columns."""
        head = (
            f"{self.stream_id}\0{self.epoch}\0{self.session_id}\0{self.sender}\0{self.claimed:d}\0"
        )
        crc: int = google_crc32c.value(head.encode() + images + b"\0" + captions)
        return crc


class Ledger:
    """The one file that a receiver must not lose.

    Args:
        path: the database; made where there is none.
        late_window: seconds that a container is kept for late captions.
        now: wall clock, for that window: it must go on over a restart.

    Raises:
        StorageError: it cannot be opened or is damaged; the message says what to do.
    """

    def __init__(self, path: Path, late_window: float, now: Callable[[], float]) -> None:
        self.path = path
        self._late_window = late_window
        self._now = now
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._set_up()
        except sqlite3.DatabaseError as error:
            raise StorageError(self._advice(str(error))) from None
        except OSError as error:
            raise StorageError(f"cannot open the ledger {path}: {error.strerror}") from None
        self._next_offset = self._counter("next_offset")

    def _set_up(self) -> None:
        database = self.connection
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("PRAGMA wal_autocheckpoint=4000")
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            raise StorageError(
                f"the ledger {self.path} is of version {version}, this build reads {SCHEMA_VERSION}"
            )
        if version == 0:
            database.executescript(
                f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
            )
        problem = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise StorageError(self._advice(problem))

    def _advice(self, problem: str) -> str:
        return (
            f"the ledger {self.path} is damaged ({problem}): nothing is acknowledged from it. Restore a"
            " copy, or move it away to begin anew; senders then deliver again what they still hold"
        )

    def _counter(self, name: str) -> int:
        row = self.connection.execute("SELECT value FROM counters WHERE name=?", (name,)).fetchone()
        if row is None:
            raise StorageError(self._advice(f"no counter {name}"))
        value: int = row[0]
        return value

    # Streams

    def streams(self) -> list[StreamRow]:
        """All streams.

        Raises:
            StorageError: a row is not what was written.
        """
        rows = self.connection.execute(
            "SELECT stream_id, epoch, session_id, sender, claimed, images, captions, crc32c FROM streams"
        ).fetchall()
        return [self._stream(*row) for row in rows]

    def _stream(
        self,
        stream_id: str,
        epoch: int,
        session_id: str,
        sender: str,
        claimed: int,
        images: bytes,
        captions: bytes,
        crc32c: int,
    ) -> StreamRow:
        try:
            positions = [
                Positions.from_message(wire.Positions.FromString(blob))
                for blob in (images, captions)
            ]
            row = StreamRow(stream_id, epoch, session_id, sender, bool(claimed), *positions)
            if row.checksum(images, captions) == crc32c:
                return row
        except Exception:  # whatever a flipped bit may lead to
            pass
        raise StorageError(self._advice(f"checksum of stream {stream_id!r}"))

    def begin(self, row: StreamRow) -> None:
        """Store a stream as it enters an epoch, durable on return."""
        self._put_stream(row)

    def claim(self, stream_id: str) -> None:
        """A picture sender has opened this stream. Positions stay as the last commit left them."""
        for row in self.streams():
            if row.stream_id == stream_id:
                self._put_stream(replace(row, claimed=True))

    def _put_stream(self, row: StreamRow) -> None:
        images = row.images.to_message().SerializeToString()
        captions = row.captions.to_message().SerializeToString()
        self.connection.execute(
            "INSERT OR REPLACE INTO streams VALUES (?,?,?,?,?,?,?,?)",
            (
                row.stream_id,
                row.epoch,
                row.session_id,
                row.sender,
                row.claimed,
                images,
                captions,
                row.checksum(images, captions),
            ),
        )

    # Ends

    def number(self, ends: Sequence[End]) -> list[Delivery]:
        """Deliveries of those ends that a sink hears of, with the offsets that they will have."""
        heard = [end for end in ends if end.frame_ended or end.picture_made]
        return [_delivery(offset, end) for offset, end in enumerate(heard, start=self._next_offset)]

    def commit(
        self,
        ends: Sequence[End],
        deliveries: Sequence[Delivery],
        streams: Sequence[StreamRow],
        record: Callable[[sqlite3.Connection], None],
    ) -> None:
        """One transaction, durable on return.

        Raises:
            sqlite3.OperationalError: the disk is full or gone; nothing was stored, repeat it later.
            StorageError: the file is damaged.
        """
        database = self.connection
        next_offset = self._next_offset + len(deliveries)
        try:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "INSERT OR IGNORE INTO ends VALUES (?,?,?,?,?,?,?,?)", map(_end_row, ends)
            )
            if self._late_window > 0:
                until = self._now() + self._late_window
                database.executemany(
                    "INSERT OR IGNORE INTO kept VALUES (?,?,?,?,?,?,?)",
                    [
                        _kept_row(end.frame, until)
                        for end in ends
                        if end.frame_ended and end.picture_made
                    ],
                )
            for row in streams:
                self._put_stream(row)
            record(database)
            database.execute("UPDATE counters SET value=? WHERE name='next_offset'", (next_offset,))
            database.execute("COMMIT")
        except BaseException as error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(
                error, sqlite3.OperationalError
            ):
                raise StorageError(self._advice(str(error))) from None
            raise
        self._next_offset = next_offset

    def look_up(self, caption: Caption) -> Found:
        """What is known of a caption's picture."""
        key = caption.key
        rows = self.connection.execute(
            "SELECT revision, frame_ended FROM ends WHERE stream_id=? AND epoch=? AND seq=?",
            (key.stream_id, key.epoch, key.seq),
        ).fetchall()
        return Found(
            caption_ended=any(revision == caption.revision for revision, _ in rows),
            frame_ended=any(frame_ended for _, frame_ended in rows),
            kept=self._kept(key),
        )

    def _kept(self, key: Key) -> Frame | None:
        row = self.connection.execute(
            "SELECT content_id, name, container FROM kept"
            " WHERE stream_id=? AND epoch=? AND seq=? AND until>?",
            (key.stream_id, key.epoch, key.seq, self._now()),
        ).fetchone()
        if row is None:
            return None
        content_id, name, container = row
        return Frame(key, content_id, name, container, expects_caption=True)

    def content_id(self, key: Key) -> bytes | None:
        """Content id of a frame that has ended."""
        row = self.connection.execute(
            "SELECT content_id FROM ends WHERE stream_id=? AND epoch=? AND seq=? AND frame_ended",
            (key.stream_id, key.epoch, key.seq),
        ).fetchone()
        return row[0] if row else None

    def purge(self, most: int) -> int:
        """Forget up to ``most`` kept containers whose time is over; how many it were."""
        done = self.connection.execute(
            "DELETE FROM kept WHERE rowid IN (SELECT rowid FROM kept WHERE until<=? ORDER BY until LIMIT ?)",
            (self._now(), most),
        )
        return done.rowcount

    def close(self) -> None:
        """Fold the write-ahead log in and close."""
        with closing(self.connection):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _end_row(end: End) -> tuple[object, ...]:
    source = end.frame or end.caption
    return (
        end.key.stream_id,
        end.key.epoch,
        end.key.seq,
        end.revision,
        end.disposition,
        end.frame_ended,
        source.content_id if source else b"",
        end.reason,
    )


def _kept_row(frame: Frame | None, until: float) -> tuple[object, ...]:
    assert frame is not None
    key = frame.key
    return (key.stream_id, key.epoch, key.seq, until, frame.content_id, frame.name, frame.container)


def _delivery(offset: int, end: End) -> Delivery:
    frame = end.frame
    used = end.caption if end.picture_made else None
    return Delivery(
        offset=offset,
        key=end.key,
        revision=end.revision,
        disposition=end.disposition,
        name=frame.name if frame else "",
        content_id=frame.content_id if frame else b"",
        caption=used.text if used else None,
        picture=end.picture,
        media_type=end.media_type,
        reason=end.reason,
    )
