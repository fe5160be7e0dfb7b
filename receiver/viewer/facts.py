"""Counts of what a ledger holds: the only numbers of the page that say what has happened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from receiver.work import DECODED
from shared.wire.v1.types_pb2 import Disposition

__all__ = ["Facts", "read_facts"]

ENDS = """
SELECT disposition, frame_ended, count(*) FROM ends GROUP BY disposition, frame_ended
"""
DISTINCT = """
SELECT count(*) FROM (SELECT DISTINCT stream_id, epoch, seq FROM ends WHERE disposition IN ({}) {})
"""
DELIVERIES = "SELECT value - 1 FROM counters WHERE name = 'next_offset'"


@dataclass(frozen=True, slots=True)
class Facts:
    """What has ended.

    Attributes:
        frames: that have ended, however.
        decoded: distinct frames with a picture.
        joined: distinct frames with a picture that was made with their caption.
        duplicated: deliveries beyond one for each (frame, revision).
        dispositions: ends by name, of frames and captions.
    """

    frames: int = 0
    decoded: int = 0
    joined: int = 0
    duplicated: int = 0
    dispositions: dict[str, int] = field(default_factory=dict)


@contextmanager
def _reading(ledger: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as database:
        yield database


def read_facts(ledger: Path) -> Facts:
    """Count in the database of a receiver that runs.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    decoded = ",".join(map(str, sorted(DECODED)))
    with _reading(ledger) as database:
        frames = heard = 0
        dispositions: dict[str, int] = {}
        for disposition, frame_ended, count in database.execute(ENDS):
            name = Disposition.Name(disposition).removeprefix("DISPOSITION_")
            dispositions[name] = dispositions.get(name, 0) + count
            frames += count if frame_ended else 0
            heard += count if frame_ended or disposition in DECODED else 0
        return Facts(
            frames=frames,
            decoded=_number(database, DISTINCT.format(decoded, "")),
            joined=_number(database, DISTINCT.format(decoded, "AND revision > 0")),
            duplicated=_number(database, DELIVERIES) - heard,
            dispositions=dict(sorted(dispositions.items())),
        )


def _number(database: sqlite3.Connection, query: str) -> int:
    row: tuple[Any, ...] = database.execute(query).fetchone()
    return int(row[0])
