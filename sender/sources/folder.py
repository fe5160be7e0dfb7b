"""A folder of pictures as a feed, in the order of their file names.

A picture is called by its file's stem. Captions stand in ``captions.jsonl`` in the same folder, one JSON
object a line with ``file`` (name with or without ending) or ``id`` and ``caption`` or ``captions``; where
there is no such file, in ``stem.txt`` beside each picture, the whole of it one caption in UTF-8.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from PIL import Image

import shared.pictures  # noqa: F401 - registers HEIC and JPEG XL with Pillow
from shared.errors import LimitError
from shared.feed import FeedError, FeedRow

__all__ = ["PictureFolder"]

CAPTIONS_NAME = "captions.jsonl"
#: Ending of containers, for those that send stored streams again.
CONTAINER_SUFFIX = ".swi"
#: Largest files that are read, in bytes.
LARGEST_PICTURE = 1 << 30
LARGEST_SIDECAR = 1 << 20


def _suffixes() -> frozenset[str]:
    formats = Image.registered_extensions().items()
    return frozenset(suffix for suffix, name in formats if name in Image.OPEN) | {CONTAINER_SUFFIX}


def _read(path: Path, limit: int) -> bytes:
    """A whole file of at most ``limit`` bytes."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise LimitError(f"{path}: its size in bytes", size, limit)
            return file.read(size)
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from None


def _parse_line(line: bytes) -> tuple[str, tuple[str, ...]]:
    """A stem or file name and its captions; ValueError says what is wrong."""
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    name = entry.get("file", entry.get("id"))
    captions = entry.get("captions", [entry["caption"]] if "caption" in entry else None)
    if not isinstance(name, str):
        raise ValueError("no string 'file' or 'id'")
    if not isinstance(captions, list) or not all(isinstance(text, str) for text in captions):
        raise ValueError("no string 'caption' or list of strings 'captions'")
    "".join(captions).encode()  # half of a surrogate pair is JSON, but no text
    return name, tuple(captions)


def _read_captions(path: Path) -> dict[str, tuple[str, ...]]:
    """Captions of all lines; they take about as much memory as the file has bytes."""
    captions = {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        name, texts = _parse_line(line)
                    except (ValueError, RecursionError) as error:  # not UTF-8 is a ValueError, too
                        raise FeedError(f"{path}: line {number}: {error}") from None
                    captions[name] = texts
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from None
    return captions


def _text(name: str) -> str:
    """A file's name as text that can be sent, whatever bytes it has."""
    return os.fsencode(name).decode(errors="replace")


class PictureFolder:
    """Pictures in files, one read at a time; names are listed at once and kept.

    Raises:
        FeedError: no picture in the folder, or ``captions`` are wanted and ``captions.jsonl`` is bad.
    """

    def __init__(self, path: Path, columns: Collection[str]) -> None:
        suffixes = _suffixes()
        self._path = path
        try:
            files = (entry for entry in path.iterdir() if entry.suffix.lower() in suffixes)
            self._names = sorted(entry.name for entry in files if entry.is_file())
        except OSError as error:
            raise FeedError(f"{path}: cannot be read: {error.strerror}") from None
        if not self._names:
            raise FeedError(f"{path}: the folder holds no picture and no .parquet file")
        self._with_captions = "captions" in columns
        self._captions: dict[str, tuple[str, ...]] | None = None
        if self._with_captions and (path / CAPTIONS_NAME).exists():
            self._captions = _read_captions(path / CAPTIONS_NAME)

    def count(self) -> int:
        """See :class:`Feed`."""
        return len(self._names)

    def rows(self, start: int) -> Iterator[FeedRow]:
        """See :class:`Feed`."""
        for name in self._names[start:]:
            path = self._path / name
            captions = self._captions_of(path) if self._with_captions else ()
            image = _read(path, LARGEST_PICTURE)
            yield FeedRow(_text(path.stem), image, captions, source="", licence="")

    def _captions_of(self, path: Path) -> tuple[str, ...]:
        if self._captions is not None:
            return self._captions.get(path.name) or self._captions.get(path.stem) or ()
        sidecar = path.with_suffix(".txt")
        if not sidecar.exists():
            return ()
        try:
            return (_read(sidecar, LARGEST_SIDECAR).decode().strip(),)
        except UnicodeDecodeError as error:
            raise FeedError(f"{sidecar}: not UTF-8: {error}") from None
