"""Counts of what a ledger holds: the only numbers of the page that say what has happened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from receiver.work import DECODED, READS_NO_WORDS
from shared.wire.streams import previews_of
from shared.wire.v1.types_pb2 import Disposition

__all__ = ["Facts", "read_facts"]

ENDS = """
SELECT stream_id, disposition, frame_ended, reason = ? AS beside, count(*) FROM ends
GROUP BY stream_id, disposition, frame_ended, beside
"""
DISTINCT = """
SELECT count(*) FROM (
    SELECT DISTINCT epoch, seq FROM ends WHERE stream_id = ? AND disposition IN ({}) {}
)
"""
DELIVERIES = "SELECT value - 1 FROM counters WHERE name = 'next_offset'"


@dataclass(frozen=True, slots=True)
class Facts:
    """What has ended.

    Attributes:
        frames: that have ended, however, of the stream of pictures.
        decoded: distinct frames with a picture.
        joined: distinct frames with a picture that was made with their caption.
        previews, previews_ended: distinct ones with a picture, and all that have ended, however.
        duplicated: deliveries beyond one for each (frame, revision), of both streams.
        dispositions: ends by name, of frames and captions, without previews'.
    """

    frames: int = 0
    decoded: int = 0
    joined: int = 0
    previews: int = 0
    previews_ended: int = 0
    duplicated: int = 0
    dispositions: dict[str, int] = field(default_factory=dict)


@contextmanager
def _reading(ledger: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as database:
        yield database


def read_facts(ledger: Path, stream: str) -> Facts:
    """Count in the database of a receiver that runs: a stream of pictures, and that of their previews.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    decoded = ",".join(map(str, sorted(DECODED)))
    with _reading(ledger) as database:
        frames = previews = heard = 0
        dispositions: dict[str, int] = {}
        for of, disposition, frame_ended, beside, count in database.execute(
            ENDS, (READS_NO_WORDS,)
        ):
            heard += count if frame_ended or beside or disposition in DECODED else 0
            if of == previews_of(stream):
                previews += count if frame_ended else 0
            elif of == stream:
                name = Disposition.Name(disposition).removeprefix("DISPOSITION_")
                dispositions[name] = dispositions.get(name, 0) + count
                frames += count if frame_ended else 0
        return Facts(
            frames=frames,
            decoded=_number(database, DISTINCT.format(decoded, ""), stream),
            joined=_number(database, DISTINCT.format(decoded, "AND revision > 0"), stream),
            previews=_number(database, DISTINCT.format(decoded, ""), previews_of(stream)),
            previews_ended=previews,
            duplicated=_number(database, DELIVERIES) - heard,
            dispositions=dict(sorted(dispositions.items())),
        )


def _number(database: sqlite3.Connection, query: str, *values: str) -> int:
    row: tuple[Any, ...] = database.execute(query, values).fetchone()
    return int(row[0])
