"""What sinks that write files have in common: a batch is staged, recorded, and visible after the commit."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Protocol

from receiver.sinks.interface import Sink
from receiver.work import Delivery

__all__ = ["Stage", "StagedSink"]


class Stage(Protocol):
    """Where files are durable before a commit and visible after it, each by its path.

    A folder (:mod:`receiver.sinks.staging`) or an object store (:mod:`receiver.sinks.objects`). The
    methods are those of a sink, and raise OSError as they do.
    """

    def recover(self, ledger: sqlite3.Connection) -> None:
        """Publish what the ledger knows, remove what it does not."""

    def write(self, files: Mapping[PurePosixPath, bytes]) -> None:
        """Make a batch durable; one that was written before and not committed is forgotten."""

    def record(self, ledger: sqlite3.Connection) -> None:
        """Add the batch to a transaction."""

    def committed(self) -> None:
        """Make the batch visible."""

    def close(self) -> None:
        """Release what is held."""


class StagedSink(Sink):
    """Files of one place; which ones, a subclass says.

    Args:
        stage: the place.
    """

    def __init__(self, stage: Stage) -> None:
        self._staging = stage

    @abstractmethod
    def files(self, deliveries: Sequence[Delivery]) -> Mapping[PurePosixPath, bytes]:
        """What a batch becomes, by the paths below the place."""

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
        """Release the place."""
        self._staging.close()
