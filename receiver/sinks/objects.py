"""Objects that are durable before a ledger commit and visible only after it.

A store cannot rename, so a batch is put twice: as one archive at
``.staging/<ledger>/<token>.zip`` before the commit, which records the token, and after it as the objects
themselves, each under its own name; then the archive is removed. So a visible object always has its row
in the ledger and is whole. What a crash interrupted is put again from the archive, the same bytes under the
same names, or removed where the ledger does not know the token.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from uuid import uuid4
from zipfile import BadZipFile

from receiver.sinks.store import ObjectStore, StoreError
from shared.faults import reached

__all__ = ["ObjectStaging"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS object_stagings (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS staged_objects (token TEXT PRIMARY KEY) WITHOUT ROWID;
"""
#: Objects on their way at once.
AT_ONCE = 16
ARCHIVE = ".zip"
#: What says that the others of its batch are there, and so comes last.
DESCRIPTION = ".json"


class ObjectStaging:
    """The batches of one ledger on their way to being visible. Several ledgers may share a store's prefix.

    Args:
        store: ``.staging`` in it is this class's own.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects")
        self._folder = PurePosixPath(".staging")
        #: The batch that was written last, until it is visible; and whether it is committed.
        self._token = ""
        self._files: dict[PurePosixPath, bytes] = {}
        self._committed = False
        #: Visible, so that the ledger may forget the token.
        self._visible: list[str] = []

    def recover(self, ledger: sqlite3.Connection) -> None:
        """Publish what the ledger knows, remove what it does not, and see that objects can be put.

        Raises:
            StoreError: they cannot.
        """
        self._store.check_bucket()
        ledger.executescript(SCHEMA)
        ledger.execute(
            "INSERT INTO object_stagings SELECT ? WHERE NOT EXISTS (SELECT * FROM object_stagings)",
            (uuid4().hex,),
        )
        ((own,),) = ledger.execute("SELECT id FROM object_stagings")
        self._folder = PurePosixPath(".staging", own)
        known = {token for (token,) in ledger.execute("SELECT token FROM staged_objects")}
        for name in self._store.names(self._folder):
            archive = self._folder / name
            if archive.stem in known:
                try:
                    self._publish(self._store.get_together(archive))
                except BadZipFile as error:
                    raise StoreError(f"{archive} is damaged: {error}") from None
            self._store.remove(archive)
        self._visible.extend(known)
        probe = self._folder / "probe"
        self._store.put(probe, b"")
        self._store.remove(probe)

    def write(self, files: Mapping[PurePosixPath, bytes]) -> None:
        """Make a batch durable, by the paths that it will have below the prefix.

        It takes the place of one that was written before and not committed.

        Raises:
            StoreError: the store is away or refuses it.
        """
        assert not self._committed, "a committed batch is made visible first"
        self._token = self._token or uuid4().hex
        self._files = dict(files)
        self._store.put_together(self._archive, self._files)

    def record(self, ledger: sqlite3.Connection) -> None:
        """Add the batch to a transaction."""
        forgotten = [(one,) for one in self._visible]
        ledger.executemany("DELETE FROM staged_objects WHERE token=?", forgotten)
        ledger.execute("INSERT INTO staged_objects VALUES (?)", (self._token,))

    def committed(self) -> None:
        """Make what is committed visible; to be repeated until it is.

        Raises:
            StoreError: not all is visible yet.
        """
        self._committed = True
        self._publish(self._files)
        self._store.remove(self._archive)
        self._visible = [self._token]
        self._token, self._files, self._committed = "", {}, False

    def close(self) -> None:
        """Wait for what is on its way."""
        self._threads.shutdown()

    @property
    def _archive(self) -> PurePosixPath:
        return self._folder / f"{self._token}{ARCHIVE}"

    def _publish(self, files: Mapping[PurePosixPath, bytes]) -> None:
        descriptions = {path for path in files if path.suffix == DESCRIPTION}
        for wave in (files.keys() - descriptions, descriptions):
            self._put((path, files[path]) for path in wave)

    def _put(self, files: Iterable[tuple[PurePosixPath, bytes]]) -> None:
        futures = [self._threads.submit(self._store.put, *file) for file in files]
        for future in futures:
            future.result()
            reached("sink.object")
