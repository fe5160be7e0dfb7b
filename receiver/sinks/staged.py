"""What sinks that write files have in common: a batch is staged, recorded, and visible after the commit."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from receiver.sinks.interface import Sink
from receiver.sinks.staging import Staging
from receiver.work import Delivery

__all__ = ["StagedSink"]


class StagedSink(Sink):
    """Files of one folder (:mod:`receiver.sinks.staging`); which ones, a subclass says.

    Args:
        folder: made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._staging = Staging(folder)

    @abstractmethod
    def files(self, deliveries: Sequence[Delivery]) -> Mapping[PurePosixPath, bytes]:
        """What a batch becomes, by the paths below the folder."""

    def recover(self, ledger: sqlite3.Connection) -> None:
        """See :class:`receiver.sinks.interface.Sink`."""
        self._staging.recover(ledger)

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Make the files durable, not yet visible."""
        self._staging.write(self.files(deliveries))

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
