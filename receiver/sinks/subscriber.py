"""Deliveries that wait in the ledger's own database for a program that takes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from receiver.sinks.interface import Sink
from receiver.work import Delivery
from shared.wire.limits import Window
from shared.wire.v1 import types_pb2
from shared.wire.v1.delivery_pb2 import SubscribeResponse

__all__ = ["Outbox", "OutboxFullError", "SubscriberSink"]

CAPACITY = Window(frames=4096, bytes=256 << 20)
#: The index holds what the sink asks for with every batch: how many rows, and their bytes.
SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    "offset" INTEGER PRIMARY KEY, size INTEGER NOT NULL, message BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_size ON outbox (size);
"""


class OutboxFullError(OSError):
    """The subscriber is behind or away."""


class SubscriberSink(Sink):
    """An outbox: a row a delivery, until the subscriber is done with it.

    Exactly once: the row is added in the transaction that holds the delivery's end, under an offset that
    is never used twice, so there is nothing to undo. Rows are sent again after any break until the
    subscriber says that it is done; one that stores the offset with what it does sees each once.

    Args:
        capacity: ``write`` refuses while the outbox holds so many deliveries or bytes; the batch before
            that may take it beyond.
    """

    def __init__(self, capacity: Window = CAPACITY) -> None:
        self._capacity = capacity
        self._ledger: sqlite3.Connection | None = None
        #: Called in the ledger's thread when there is something new to send.
        self.on_commit: Callable[[], None] = lambda: None

    def recover(self, ledger: sqlite3.Connection) -> None:
        """See :class:`receiver.sinks.interface.Sink`; there is nothing to undo."""
        ledger.executescript(SCHEMA)
        self._ledger = ledger

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Check that there is room.

        Raises:
            OutboxFullError: there is none until the subscriber takes something.
        """
        assert self._ledger is not None, "recover comes first"
        row = self._ledger.execute("SELECT count(*), coalesce(sum(size), 0) FROM outbox").fetchone()
        held, most = Window(*row), self._capacity
        if held.frames >= most.frames or held.bytes >= most.bytes:
            raise OutboxFullError(
                f"the outbox holds {held.frames} deliveries and {held.bytes} bytes, at most"
                f" {most.frames} and {most.bytes}: the subscriber is behind or away"
            )

    def record(self, ledger: sqlite3.Connection, deliveries: Sequence[Delivery]) -> None:
        """Add the rows."""
        messages = ((one.offset, _message(one).SerializeToString()) for one in deliveries)
        ledger.executemany(
            "INSERT INTO outbox VALUES (?,?,?)",
            ((offset, len(message), message) for offset, message in messages),
        )

    def committed(self, deliveries: Sequence[Delivery]) -> None:
        """Wake the delivery service."""
        if deliveries:
            self.on_commit()

    def close(self) -> None:
        """Nothing is held."""


class Outbox:
    """The other end, for the delivery service: its own connection, used from one thread.

    Args:
        ledger: the database; the sink's ``recover`` has made the table.
    """

    def __init__(self, ledger: Path) -> None:
        self._database = sqlite3.connect(ledger, isolation_level=None)
        # Forgetting may be undone by a power cut: what is sent again has an offset that was seen.
        self._database.execute("PRAGMA synchronous=NORMAL")

    def after(self, offset: int, most: Window) -> list[SubscribeResponse]:
        """The next deliveries; the one that reaches ``most.bytes`` is the last."""
        found, size = [], 0
        rows = self._database.execute(
            'SELECT message FROM outbox WHERE "offset">? ORDER BY "offset" LIMIT ?',
            (offset, most.frames),
        )
        with closing(rows):
            for (message,) in rows:
                found.append(SubscribeResponse.FromString(message))
                size += len(message)
                if size >= most.bytes:
                    break
        return found

    def forget(self, offset: int) -> None:
        """Everything up to and with ``offset`` is done with.

        Raises:
            sqlite3.OperationalError: the disk is full or the database busy; nothing was forgotten.
        """
        self._database.execute('DELETE FROM outbox WHERE "offset"<=?', (offset,))

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


def _message(delivery: Delivery) -> SubscribeResponse:
    key = delivery.key
    return SubscribeResponse(
        offset=delivery.offset,
        key=types_pb2.FrameKey(stream_id=key.stream_id, epoch=key.epoch, seq=key.seq),
        revision=delivery.revision,
        disposition=delivery.disposition,
        name=delivery.name,
        caption=delivery.caption or "",
        picture=delivery.picture,
        media_type=delivery.media_type,
    )
