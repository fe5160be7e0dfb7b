"""Where pictures go. Each sink states how its effect happens once although work may be repeated."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Protocol

from receiver.work import Delivery

__all__ = ["Sink"]


class Sink(Protocol):
    """All calls come from one thread, the ledger's.

    The order is: ``write`` returns when its outputs are durable; then one ledger transaction holds
    the deliveries' rows and what ``record`` adds; only after its commit are acks sent. A crash in
    between leaves outputs without rows; ``recover`` runs before anything else at the next start.
    """

    def recover(self, ledger: sqlite3.Connection) -> None:
        """Undo, or make harmless, what was written but never committed; create own tables."""

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Make outputs durable.

        Raises:
            OSError: the place is full or gone; nothing is committed, and the call will be repeated.
        """

    def record(self, ledger: sqlite3.Connection, deliveries: Sequence[Delivery]) -> None:
        """Add to the open transaction."""

    def committed(self, deliveries: Sequence[Delivery]) -> None:
        """The transaction is durable: show what was written.

        Raises:
            OSError: not all is visible yet; nothing is acked, and the call will be repeated.
        """

    def close(self) -> None:
        """Release what is held."""
