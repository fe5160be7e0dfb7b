"""Files that are durable before a ledger commit and visible only after it.

A batch is written below ``FOLDER/.staging/<token>``, its token is recorded in the ledger's transaction,
and after the commit its files are renamed to their places. So a visible file always has its row in the
ledger, is whole, and is never withdrawn: whoever picks files up from the folder needs no other signal.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from uuid import uuid4

__all__ = ["Staging"]

log = logging.getLogger("sidewire.receiver")


class Staging:
    """The batches of one folder on their way to being visible.

    Args:
        folder: made where there is none; ``.staging`` in it is this class's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder / ".staging"
        #: The batch that was written last, until it is committed.
        self._open = ""
        #: Committed, not all visible yet; and visible, so that the ledger may forget the token.
        self._hidden: list[str] = []
        self._visible: list[str] = []

    def recover(self, ledger: sqlite3.Connection) -> None:
        """Publish what the ledger knows, remove what it does not.

        Raises:
            OSError: the folder cannot be used.
        """
        ledger.execute("CREATE TABLE IF NOT EXISTS staged (token TEXT PRIMARY KEY) WITHOUT ROWID")
        known = {token for (token,) in ledger.execute("SELECT token FROM staged")}
        self._root.mkdir(parents=True, exist_ok=True)
        for batch in self._root.iterdir():
            if batch.name in known:
                self._publish(batch)
                self._visible.append(batch.name)
            else:
                shutil.rmtree(batch)

    def write(self, files: Mapping[PurePosixPath, bytes]) -> None:
        """Make a batch durable, by the paths that it will have in the folder.

        A batch that was written before and not committed is forgotten.

        Raises:
            OSError: the place is full or gone.
        """
        if self._open:
            shutil.rmtree(self._root / self._open)
            self._open = ""
        token = uuid4().hex
        batch = self._root / token
        batch.mkdir()
        self._open = token
        folders = {self._root, batch}
        for path, data in files.items():
            target = batch / path
            target.parent.mkdir(parents=True, exist_ok=True)
            folders.update(_up_to(target.parent, batch))
            # Made now, so that after the commit there is little left that can fail.
            place = (self._folder / path).parent
            if not place.exists():
                place.mkdir(parents=True)
                folders.update(_up_to(place.parent, self._folder))
            with target.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        _sync(folders)

    def record(self, ledger: sqlite3.Connection) -> None:
        """Add the open batch to a transaction."""
        ledger.executemany("DELETE FROM staged WHERE token=?", [(one,) for one in self._visible])
        ledger.execute("INSERT INTO staged VALUES (?)", (self._open,))

    def committed(self) -> None:
        """Make what is committed visible. What cannot be moved now is tried again with the next batch."""
        self._visible.clear()
        self._hidden.append(self._open)
        self._open = ""
        try:
            while self._hidden:
                self._publish(self._root / self._hidden[0])
                self._visible.append(self._hidden.pop(0))
        except OSError as error:
            log.error("pictures are stored but not visible yet: %s", error)

    def close(self) -> None:
        """Nothing is held."""

    def _publish(self, batch: Path) -> None:
        files = [path for path in batch.rglob("*") if not path.is_dir()]
        places = {path: self._folder / path.relative_to(batch) for path in files}
        for path, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
        _sync({place.parent for place in places.values()})
        shutil.rmtree(batch)


def _up_to(path: Path, top: Path) -> list[Path]:
    """A folder and those above it, as far as ``top``."""
    return [path, *(one for one in path.parents if one.is_relative_to(top))]


def _sync(folders: Iterable[Path]) -> None:
    for folder in folders:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
