"""What a picture sender must not forget: its epoch, how far it has read, and every frame not yet acked.

A frame is in the journal before it is on the wire, and leaves it when an ack names it. All calls come
from one thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path

from shared.database import Database, Kind, sealed
from shared.errors import SidewireError

__all__ = ["Journal", "MadeWith", "Outgoing", "Place"]

SCHEMA = """
CREATE TABLE place (
    stream_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, session_id TEXT NOT NULL,
    next_seq INTEGER NOT NULL, complete INTEGER NOT NULL, crc32c INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE frames (
    seq INTEGER PRIMARY KEY, name TEXT NOT NULL, content_id BLOB NOT NULL,
    container BLOB NOT NULL, reason TEXT NOT NULL, crc32c INTEGER NOT NULL
);
"""
#: Journals that were begun without it are given it with the next frames.
MADE_WITH = """
CREATE TABLE IF NOT EXISTS made_with (
    name TEXT PRIMARY KEY, value TEXT NOT NULL, crc32c INTEGER NOT NULL
) WITHOUT ROWID;
"""
JOURNAL = Kind(
    "journal",
    version=1,
    schema=SCHEMA + MADE_WITH,
    advice="nothing is sent from it. Move it away, with its -wal, to send the feed from the start in a"
    " new epoch",
)


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


@dataclass(frozen=True, slots=True)
class MadeWith:
    """What frames are made from and with, as people say it; empty where nothing was asked for."""

    feed: str
    repeat: str
    codec: str
    quality: str
    bundle: str
    captioner: str = ""

    def changes(self, now: MadeWith) -> str:
        """What is different now, in one line; empty where nothing is."""
        pairs = ((one.name, getattr(self, one.name), getattr(now, one.name)) for one in fields(now))
        changed = (
            f"{name} was {before or 'not given'} and is {after or 'not given'}"
            for name, before, after in pairs
            if before != after
        )
        return ", ".join(changed)


class Journal:
    """One stream's journal.

    Raises:
        StorageError: see :class:`shared.database.Database`. SidewireError: it is another stream's.
    """

    def __init__(self, path: Path, stream_id: str) -> None:
        self.path = path
        self._stream_id = stream_id
        self._database = Database(path, JOURNAL)
        #: Of the frames that are added next, where that is not in the file yet.
        self._next_with: MadeWith | None = None
        with self._database.opening():
            found = self.place().stream_id
            if found != stream_id:
                raise SidewireError(f"the journal {path} is of stream {found!r}, not {stream_id!r}")

    def place(self) -> Place:
        """Where the sender is."""
        rows = self._database.rows("SELECT * FROM place")
        if not rows:
            return Place(self._stream_id)
        stream_id, epoch, session_id, next_seq, complete = rows[0]
        return Place(stream_id, epoch, session_id, next_seq, bool(complete))

    def _put(self, place: Place) -> None:
        *values, complete = astuple(place)
        self._database.connection.execute(
            "INSERT OR REPLACE INTO place VALUES (?,?,?,?,?,?)", sealed(*values, int(complete))
        )

    def unacked(self) -> list[Outgoing]:
        """Every frame that no ack has named, in order."""
        return [Outgoing(*row) for row in self._database.rows("SELECT * FROM frames ORDER BY seq")]

    def made_with(self) -> MadeWith | None:
        """What the newest frames were made with; None where there were none, or nobody said."""
        with self._database.watched():
            kept = self._database.connection.execute(
                "SELECT 1 FROM sqlite_schema WHERE name='made_with'"
            ).fetchone()
        found = dict(self._database.rows("SELECT * FROM made_with")) if kept else {}
        if not found:
            return None
        return MadeWith(**{one.name: found.get(one.name, "") for one in fields(MadeWith)})

    def go_on_with(self, made_with: MadeWith) -> None:
        """Note this with the next frame that is added."""
        self._next_with = made_with

    def enter(self, epoch: int, session_id: str) -> None:
        """The receiver has said which epoch and session this is."""
        with self._database.transaction():
            self._put(replace(self.place(), epoch=epoch, session_id=session_id))

    def add(self, frames: Sequence[Outgoing]) -> None:
        """Frames that may be sent from now on, and the place after the last of them.

        Raises:
            sqlite3.OperationalError: the disk is full; nothing was stored.
            StorageError: the file is damaged.
        """
        with self._database.transaction() as database:
            database.executemany(
                "INSERT INTO frames VALUES (?,?,?,?,?,?)",
                [sealed(*astuple(frame)) for frame in frames],
            )
            self._put(replace(self.place(), next_seq=frames[-1].seq + 1))
            if self._next_with is not None:
                database.execute(MADE_WITH)
                database.executemany(
                    "INSERT OR REPLACE INTO made_with VALUES (?,?,?)",
                    [sealed(*one) for one in asdict(self._next_with).items()],
                )
        self._next_with = None

    def forget(self, seqs: Iterable[int]) -> None:
        """Frames that an ack has named."""
        with self._database.transaction() as database:
            database.executemany("DELETE FROM frames WHERE seq=?", [(seq,) for seq in seqs])

    def finish(self) -> None:
        """Note that all was acked, and the session is closed."""
        with self._database.transaction():
            self._put(replace(self.place(), complete=True))

    def restart(self) -> None:
        """Begin the feed again, in a new epoch."""
        with self._database.transaction() as database:
            database.execute("DELETE FROM frames")
            self._put(Place(self.place().stream_id))

    def close(self) -> None:
        """Fold the write-ahead log in and close."""
        self._database.close()
