"""Where visitors' pictures are kept, a folder each: so many, so many bytes, and not for ever."""

from __future__ import annotations

import secrets
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from receiver.viewer.news import News
from receiver.viewer.upload.state import Upload

__all__ = ["Entry", "Shelf"]

#: Bytes of an id: 128 bits, which nobody guesses.
ID_BYTES = 16


class Entry(News):
    """A picture of a visitor's.

    Attributes:
        folder: of its files, whose names are all of our own making.
        upload: what is known of it; to be changed by :meth:`put` alone.
    """

    def __init__(self, upload: Upload, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.upload = upload
        self.seen = 0.0

    def put(self, upload: Upload) -> None:
        """It is so now, and pages are told."""
        self.upload = upload
        self.wake()

    @property
    def bytes(self) -> int:
        """Of its files."""
        return sum(one.stat().st_size for one in self.folder.iterdir())


class Shelf:
    """Pictures by their ids. Those that nobody has looked at for longest go first, but none in work.

    Args:
        folder: theirs alone.
        most, most_bytes: pictures, and bytes of all their files.
        keep_seconds: after so long without anybody who looks a picture goes.
        now: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        folder: Path,
        most: int,
        most_bytes: int,
        keep_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._most = most
        self._most_bytes = most_bytes
        self._keep_seconds = keep_seconds
        self._now = now
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def new_folder(self) -> Path:
        """An empty folder under a name that nobody can guess, for a picture that comes."""
        folder = self._folder / secrets.token_hex(ID_BYTES)
        folder.mkdir()
        return folder

    def add(self, folder: Path, file_bytes: int) -> Entry:
        """Keep a folder with a picture's file; its name is the picture's id."""
        entry = Entry(Upload(folder.name, file_bytes), folder)
        self._entries[folder.name] = entry
        entry.seen = self._now()
        self.sweep()
        return entry

    def get(self, id: str) -> Entry | None:
        """A picture that somebody looks at now."""
        entry = self._entries.get(id)
        if entry is not None:
            entry.seen = self._now()
            self._entries.move_to_end(id)
        return entry

    def drop(self, id: str) -> None:
        """Forget a picture, and delete its files."""
        entry = self._entries.pop(id, None)
        if entry is not None:
            entry.close()
            shutil.rmtree(entry.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Drop what is too old, and the oldest where there is too much; never what is worked on."""
        until = self._now() - self._keep_seconds
        count, size = len(self._entries), sum(one.bytes for one in self._entries.values())
        newest = next(reversed(self._entries), "")
        for id, entry in list(self._entries.items()):
            too_much = count > self._most or size > self._most_bytes
            if entry.upload.busy or not (entry.seen < until or (too_much and id != newest)):
                continue
            count, size = count - 1, size - entry.bytes
            self.drop(id)

    def clear(self) -> None:
        """Drop everything."""
        for id in list(self._entries):
            self.drop(id)
