"""A folder of pictures as a feed, in the order of their file names.

A picture is called by its file's stem, or by its whole name where another picture has the same stem.
Captions stand beside: see :mod:`sender.sources.beside`.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from PIL import Image

import shared.pictures  # noqa: F401 - registers HEIC and JPEG XL with Pillow
from sender.sources.beside import CAPTIONS_NAME, SIDECAR_SUFFIX, captions_beside, read_within
from shared.errors import LimitError, reason_of
from shared.feed_columns import FeedError, FeedRow, has_captions

__all__ = ["PictureFolder"]

log = logging.getLogger("sidewire.sender")

#: Ending of containers, for those that send stored streams again.
CONTAINER_SUFFIX = ".swi"
#: Ending of files of several JPEGs, which Pillow reads as the format of their first.
MPO_SUFFIX = ".mpo"
#: Largest file that is read, in bytes.
LARGEST_PICTURE = 1 << 30
#: Endings of files that are passed over that are told, the most frequent ones.
ENDINGS_TOLD = 5


def _suffixes() -> frozenset[str]:
    formats = Image.registered_extensions().items()
    read = frozenset(suffix for suffix, name in formats if name in Image.OPEN)
    return read | {CONTAINER_SUFFIX, MPO_SUFFIX}


def _text(name: str) -> str:
    """A file's name as text that can be sent, whatever bytes it has."""
    return os.fsencode(name).decode(errors="replace")


def _is_told(name: str, stems: Collection[str]) -> bool:
    """Whether a file that is passed over is worth a word: it is no caption and not hidden."""
    stem, suffix = os.path.splitext(name)
    is_caption = name == CAPTIONS_NAME or (suffix == SIDECAR_SUFFIX and stem in stems)
    return not is_caption and not name.startswith(".")


def _endings(names: list[str]) -> str:
    """How many files have which ending, such as ``3 .mp4, 1 without ending``."""
    counts = Counter(Path(name).suffix.lower() or "without ending" for name in names)
    told = [f"{count} {ending}" for ending, count in counts.most_common(ENDINGS_TOLD)]
    rest = counts.total() - sum(count for _, count in counts.most_common(ENDINGS_TOLD))
    return ", ".join(told + [f"{rest} others"] * bool(rest))


@cache
def _tell(message: str) -> None:
    """Say it once in a process, however often a feed is begun again."""
    log.warning(message)


class PictureFolder:
    """Pictures in files, one read at a time; names are listed at once and kept.

    Raises:
        FeedError: no picture in the folder, or captions are wanted and ``captions.jsonl`` cannot be
        opened.
    """

    def __init__(self, path: Path, columns: Collection[str]) -> None:
        suffixes = _suffixes()
        self._path = path
        try:
            files = sorted(entry.name for entry in path.iterdir() if entry.is_file())
        except OSError as error:
            raise FeedError(f"{path}: cannot be read: {error.strerror}") from None
        self._names = [name for name in files if Path(name).suffix.lower() in suffixes]
        self._stems = Counter(Path(name).stem for name in self._names)
        left = set(files).difference(self._names)
        self._passed_over = [name for name in sorted(left) if _is_told(name, self._stems)]
        if not self._names:
            found = f" (but {_endings(self._passed_over)})" if self._passed_over else ""
            raise FeedError(f"{path}: the folder holds no picture and no .parquet file{found}")
        self._captions_of = captions_beside(path) if has_captions(columns) else None

    def tell_passed_over(self) -> None:
        """Warn of the files that are no pictures by their endings: how many, and which."""
        if self._passed_over:
            number, endings = len(self._passed_over), _endings(self._passed_over)
            _tell(f"{self._path}: passed over {number} files that are no pictures: {endings}")

    def count(self) -> int:
        """See :class:`Feed`."""
        return len(self._names)

    def rows(self, start: int) -> Iterator[FeedRow]:
        """See :class:`Feed`."""
        for name in self._names[start:]:
            path = self._path / name
            captions = self._captions_of(path) if self._captions_of else ()
            try:
                image = read_within(path, LARGEST_PICTURE)
            except (OSError, LimitError) as error:
                # No bytes are no picture: it is refused by itself, and the others go on.
                log.warning("picture %s cannot be read: %s", path, reason_of(error))
                image = b""
            label = path.stem if self._stems[path.stem] == 1 else name
            yield FeedRow(_text(label), image, captions, source="", licence="")
