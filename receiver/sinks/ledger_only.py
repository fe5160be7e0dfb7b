"""No pictures at all: the ledger's rows are the whole output."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from receiver.sinks.interface import Sink
from receiver.work import Delivery

__all__ = ["LedgerOnlySink"]


class LedgerOnlySink(Sink):
    """The receiver as a meter, and in benchmarks.

    Exactly once: nothing happens outside the ledger's own transaction.
    """

    def recover(self, ledger: sqlite3.Connection) -> None:
        """See :class:`receiver.sinks.interface.Sink`; nothing is ever written."""

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Nothing to write."""

    def record(self, ledger: sqlite3.Connection, deliveries: Sequence[Delivery]) -> None:
        """Nothing to add."""

    def committed(self, deliveries: Sequence[Delivery]) -> None:
        """Nobody waits for it."""

    def close(self) -> None:
        """Nothing is held."""
