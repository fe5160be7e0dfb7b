"""What has ended, for ever: a row is a fact, an ack only repeats it.

One transaction holds the ends of a batch, the positions after it, the containers kept for late captions,
and whatever the sink records. All calls come from one thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from receiver.session import Found, Session
from receiver.work import Caption, Delivery, End, Frame, Key
from shared.database import Database, Kind, Value, checksum, sealed
from shared.wire.positions import Positions
from shared.wire.v1 import types_pb2 as wire

__all__ = ["Ledger", "StreamRow"]

SCHEMA = f"""
CREATE TABLE streams (
    stream_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, session_id TEXT NOT NULL, sender TEXT NOT NULL,
    claimed INTEGER NOT NULL, images BLOB NOT NULL, captions BLOB NOT NULL, crc32c INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE ends (
    stream_id TEXT, epoch INTEGER, seq INTEGER, revision INTEGER,
    disposition INTEGER NOT NULL, frame_ended INTEGER NOT NULL,
    content_id BLOB NOT NULL, reason TEXT NOT NULL, crc32c INTEGER NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq, revision)
) WITHOUT ROWID;
CREATE TABLE kept (
    stream_id TEXT, epoch INTEGER, seq INTEGER, until REAL NOT NULL,
    content_id BLOB NOT NULL, name TEXT NOT NULL, container BLOB NOT NULL,
    UNIQUE (stream_id, epoch, seq)
);
CREATE INDEX kept_until ON kept (until);
CREATE TABLE counters (
    name TEXT PRIMARY KEY, value INTEGER NOT NULL, crc32c INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counters VALUES ('next_offset', 1, {checksum(("next_offset", 1))});
"""
LEDGER = Kind(
    "ledger",
    version=1,
    schema=SCHEMA,
    advice="nothing is acknowledged from it. Restore a copy, or move it away, with its -wal, to begin"
    " anew; senders then deliver again what they still hold",
)


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


class EndRow(NamedTuple):
    """An end as it is stored."""

    stream_id: str
    epoch: int
    seq: int
    revision: int
    disposition: int
    frame_ended: int
    content_id: bytes
    reason: str

    @classmethod
    def of(cls, end: End) -> EndRow:
        """The row of an end."""
        source = end.frame or end.caption
        return cls(
            end.key.stream_id,
            end.key.epoch,
            end.key.seq,
            end.revision,
            end.disposition,
            int(end.frame_ended),
            source.content_id if source else b"",
            end.reason,
        )


class Ledger:
    """The one file that a receiver must not lose.

    Args:
        path: the database; made where there is none.
        late_window: seconds that a container is kept for late captions.
        now: wall clock, for that window: it must go on over a restart.

    Raises:
        StorageError, SidewireError: see :class:`shared.database.Database`.
    """

    def __init__(self, path: Path, late_window: float, now: Callable[[], float]) -> None:
        self.path = path
        self._late_window = late_window
        self._now = now
        self._database = Database(path, LEDGER)
        self.connection = self._database.connection
        with self._database.opening():
            self._next_offset = self._counter("next_offset")

    def _counter(self, name: str) -> int:
        rows = self._database.rows("SELECT * FROM counters WHERE name=?", name)
        if not rows:
            raise self._database.damaged(f"no counter {name}")
        value: int = rows[0][1]
        return value

    # Streams

    def streams(self) -> list[StreamRow]:
        """All streams.

        Raises:
            StorageError: a row is not what was written.
        """
        return [
            StreamRow(stream_id, epoch, session_id, sender, bool(claimed), *map(_positions, blobs))
            for stream_id, epoch, session_id, sender, claimed, *blobs in self._database.rows(
                "SELECT * FROM streams"
            )
        ]

    def begin(self, row: StreamRow) -> None:
        """Store a stream as it enters an epoch, durable on return."""
        with self._database.transaction():
            self.connection.execute(
                "INSERT OR REPLACE INTO streams VALUES (?,?,?,?,?,?,?,?)", _sealed_stream(row)
            )

    def claim(self, stream_id: str) -> None:
        """A picture sender has opened this stream. Positions stay as the last commit left them."""
        for row in self.streams():
            if row.stream_id == stream_id:
                self.begin(replace(row, claimed=True))

    def _move_on(self, row: StreamRow) -> None:
        """New positions; none where the stream has entered another epoch meanwhile."""
        self.connection.execute(
            "INSERT INTO streams VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (stream_id) DO UPDATE SET"
            " sender=excluded.sender, claimed=excluded.claimed, images=excluded.images,"
            " captions=excluded.captions, crc32c=excluded.crc32c"
            " WHERE session_id=excluded.session_id",
            _sealed_stream(row),
        )

    # Ends

    def number(self, ends: Sequence[End], zero: float = 0.0) -> list[Delivery]:
        """Deliveries of those ends that a sink hears of, with the offsets that they will have.

        Args:
            zero: when the receiver's clock stood at 0, in seconds since 1970.
        """
        heard = enumerate((end for end in ends if end.delivered), start=self._next_offset)
        return [_delivery(offset, end, zero) for offset, end in heard]

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
        next_offset = self._next_offset + len(deliveries)
        with self._database.transaction() as database:
            database.executemany(
                "INSERT OR IGNORE INTO ends VALUES (?,?,?,?,?,?,?,?,?)",
                [sealed(*EndRow.of(end)) for end in ends],
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
                self._move_on(row)
            record(database)
            database.execute(
                "INSERT OR REPLACE INTO counters VALUES (?,?,?)", sealed("next_offset", next_offset)
            )
        self._next_offset = next_offset

    def look_up(self, caption: Caption) -> Found:
        """What is known of a caption's picture.

        Raises:
            sqlite3.OperationalError, StorageError: as :meth:`commit`.
        """
        ends = self._ends(caption.key)
        first = next((end for end in ends if end.frame_ended), None)
        return Found(
            caption_ended=any(end.revision == caption.revision for end in ends),
            newest=max((end.revision for end in ends), default=0),
            frame_ended=first is not None,
            kept=self._kept(caption.key, first.content_id) if first else None,
        )

    def content_id(self, key: Key) -> bytes | None:
        """Content id of a frame that has ended.

        Raises:
            sqlite3.OperationalError, StorageError: as :meth:`commit`.
        """
        return next((end.content_id for end in self._ends(key) if end.frame_ended), None)

    def _ends(self, key: Key) -> list[EndRow]:
        rows = self._database.rows(
            "SELECT * FROM ends WHERE stream_id=? AND epoch=? AND seq=?",
            key.stream_id,
            key.epoch,
            key.seq,
        )
        return [EndRow(*row) for row in rows]

    def _kept(self, key: Key, content_id: bytes) -> Frame | None:
        """A container carries a checksum of its own; the content id shows that it is this frame's."""
        with self._database.watched():
            row = self.connection.execute(
                "SELECT name, container FROM kept"
                " WHERE stream_id=? AND epoch=? AND seq=? AND until>? AND content_id=?",
                (key.stream_id, key.epoch, key.seq, self._now(), content_id),
            ).fetchone()
        if row is None:
            return None
        name, container = row
        return Frame(key, content_id, name, container, expects_caption=True)

    def purge(self, most: int) -> int:
        """Forget up to ``most`` kept containers whose time is over; how many it were.

        Raises:
            sqlite3.OperationalError, StorageError: as :meth:`commit`.
        """
        with self._database.transaction() as database:
            done = database.execute(
                "DELETE FROM kept WHERE rowid IN"
                " (SELECT rowid FROM kept WHERE until<=? ORDER BY until LIMIT ?)",
                (self._now(), most),
            )
        return done.rowcount

    def close(self) -> None:
        """Fold the write-ahead log in and close."""
        self._database.close()


def _positions(blob: bytes) -> Positions:
    return Positions.from_message(wire.Positions.FromString(blob))


def _kept_row(frame: Frame | None, until: float) -> tuple[object, ...]:
    assert frame is not None
    key = frame.key
    return (key.stream_id, key.epoch, key.seq, until, frame.content_id, frame.name, frame.container)


def _at(zero: float, moment: float | None) -> datetime | None:
    return None if moment is None else datetime.fromtimestamp(zero + moment, UTC)


def _delivery(offset: int, end: End, zero: float) -> Delivery:
    frame = end.frame
    used = end.caption if end.picture_made or end.words_beside else None
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
        container=frame.container if frame else b"",
        received_at=_at(zero, frame.arrived_at) if frame else None,
        decoded_at=_at(zero, end.decoded_at),
    )


def _sealed_stream(row: StreamRow) -> tuple[Value, ...]:
    return sealed(
        row.stream_id,
        row.epoch,
        row.session_id,
        row.sender,
        int(row.claimed),
        row.images.to_message().SerializeToString(),
        row.captions.to_message().SerializeToString(),
    )
