"""The viewer's pictures, as files of one folder under names that follow from their keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from receiver.sinks.interface import Sink
from receiver.sinks.staging import Staging
from receiver.work import Delivery, Key

__all__ = ["GallerySink", "picture_file"]


def picture_file(key: Key, revision: int) -> str:
    """Path of a decoded picture in the gallery."""
    return f"pictures/{key.epoch}-{key.seq}.r{revision}.png"


class GallerySink(Sink):
    """PNG files, one a delivery that has a picture.

    Exactly once: a path follows from (frame, revision), and a file becomes visible after the commit that
    holds its row (:mod:`receiver.sinks.staging`).

    Args:
        folder: made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._staging = Staging(folder)

    def recover(self, ledger: sqlite3.Connection) -> None:
        """See :class:`receiver.sinks.interface.Sink`."""
        self._staging.recover(ledger)

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Make the files durable, not yet visible."""
        self._staging.write(
            {
                PurePosixPath(picture_file(one.key, one.revision)): one.picture
                for one in deliveries
                if one.picture
            }
        )

    def record(self, ledger: sqlite3.Connection, deliveries: Sequence[Delivery]) -> None:
        """Say which batch this was."""
        if deliveries:
            self._staging.record(ledger)

    def committed(self, deliveries: Sequence[Delivery]) -> None:
        """Make the files visible."""
        if deliveries:
            self._staging.committed()

    def close(self) -> None:
        """Nothing is held."""
