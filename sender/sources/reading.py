"""A feed by its name, as numbered pictures or as numbered captions.

=============================================  ====================================================
``photos.parquet``, a folder of such files     :mod:`shared.feed`; its columns :mod:`shared.feed_schema`
``.arrow``, ``.arrows``, ``.ipc``, ``.feather``  the same columns in Arrow's IPC file or stream format
a folder of pictures                           :mod:`sender.sources.folder`
``-``                                          an Arrow IPC stream on standard input
=============================================  ====================================================

A row's number is ``round * rows + row``. Who reads pictures for a blind encoder never reads a caption: the
column is not chosen, the files beside the pictures are not opened.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from sender.sources.folder import PictureFolder
from sender.sources.interface import Feed, SourceCaption, SourcePicture, content_id
from shared.errors import LimitError
from shared.extras import need
from shared.feed_columns import CAPTION_COLUMNS, PICTURE_COLUMNS, TOLD_COLUMNS, FeedRow
from shared.wire.limits import STREAM_ID_LENGTH

__all__ = ["check_feed", "count_rows", "default_stream_id", "read_captions", "read_pictures"]

STANDARD_INPUT = "-"
ARROW_SUFFIXES = frozenset({".arrow", ".arrows", ".ipc", ".feather"})
PARQUET_SUFFIX = ".parquet"


def check_feed(feed: str, columns: Collection[str] = PICTURE_COLUMNS) -> None:
    """See that a feed is there, and what reads it, before anything is loaded or a receiver is waited for.

    Standard input is not read: its schema may come late.

    Raises:
        FeedError: it is missing, unreadable or of another schema. MissingExtraError: there is no pyarrow,
        which a folder of pictures does not need.
    """
    if feed == STANDARD_INPUT:
        need(f"feed {feed}", "arrow")
    else:
        _open(feed, columns)


def _is_folder_of_pictures(feed: str) -> bool:
    path = Path(feed)
    return feed != STANDARD_INPUT and path.is_dir() and not any(path.glob(f"*{PARQUET_SUFFIX}"))


def _open(feed: str, columns: Collection[str]) -> Feed:
    path = Path(feed)
    if _is_folder_of_pictures(feed):
        return PictureFolder(path, columns)
    need(f"feed {feed}", "arrow")
    from sender.sources.arrow import ArrowFeed, ArrowPipe  # noqa: PLC0415
    from sender.sources.parquet import ParquetFeed  # noqa: PLC0415

    if feed == STANDARD_INPUT:
        # Not sys.stdin's buffer: Python's end takes its lock, and aborts where a thread still reads there.
        pipe = open(sys.stdin.fileno(), "rb", closefd=False)  # noqa: SIM115
        return ArrowPipe("standard input", pipe, columns)
    if path.suffix.lower() in ARROW_SUFFIXES:
        return ArrowFeed(path, columns)
    return ParquetFeed(path, columns)


def _rounds(feed: Feed, rows: int, start: int, repeat: int) -> Iterator[tuple[int, FeedRow]]:
    if rows == 0:
        return
    first, skipped = divmod(start, rows)
    for number in range(first, repeat) if repeat else itertools.count(first):
        yield from zip(
            range(number * rows + skipped, (number + 1) * rows), feed.rows(skipped), strict=False
        )
        skipped = 0


def _numbered(feed: Feed, start: int, repeat: int) -> Iterator[tuple[int, FeedRow]]:
    _at_least_zero("start", start)
    _at_least_zero("repeat", repeat)
    if repeat == 1:
        return enumerate(feed.rows(start), start)
    return _rounds(feed, feed.count(), start, repeat)


def count_rows(feed: str) -> int:
    """How many rows a feed has; no picture is read.

    Raises:
        FeedError: it is missing, unreadable, or can be read only once. MissingExtraError: it is no folder of
        pictures, and there is no pyarrow.
    """
    return _open(feed, PICTURE_COLUMNS).count()


def read_pictures(
    feed: str,
    *,
    start: int = 0,
    repeat: int = 1,
    told: int | None = None,
    tellings: bool = False,
) -> Iterator[SourcePicture]:
    """The pictures of a feed, from number ``start`` on, the feed read ``repeat`` times (0: for ever).

    Args:
        told: which caption comes with each that has one, see :func:`read_captions`; the feed need not have
            captions. None reads none.
        tellings: a row's whole telling comes in place of its caption, where there is one.

    Raises:
        FeedError: by this call, the feed is missing, unreadable, of another schema, or cannot be
        repeated; from the iterator, a row cannot be read. LimitError: a number is negative, or
        (from the iterator) a file is too big. MissingExtraError: as :func:`count_rows`.
    """
    opened = _open(feed, PICTURE_COLUMNS if told is None else TOLD_COLUMNS)
    if isinstance(opened, PictureFolder):
        opened.tell_passed_over()
    rows = _numbered(opened, start, repeat)
    if told is None:
        return (SourcePicture(seq, row.id, row.image) for seq, row in rows)
    which = _at_least_zero("which", told)
    return (
        SourcePicture(
            n, row.id, row.image, (tellings and row.telling) or _chosen(row.captions, which)
        )
        for n, row in rows
    )


def read_captions(
    feed: str, *, start: int = 0, repeat: int = 1, which: int = 0
) -> Iterator[SourceCaption]:
    """The captions of a feed, as :func:`read_pictures`; pictures are read for their content ids.

    Args:
        which: of a picture's captions, from 0; past the end, its last. An empty one is none.

    Raises:
        FeedError, LimitError: as there.
    """
    _at_least_zero("which", which)
    rows = _numbered(_open(feed, CAPTION_COLUMNS), start, repeat)
    return (
        SourceCaption(seq, row.id, content_id(row.image), _chosen(row.captions, which))
        for seq, row in rows
    )


def _at_least_zero(name: str, value: int) -> int:
    if value < 0:
        raise LimitError(name, value, 0, least=True)
    return value


def _chosen(captions: tuple[str, ...], which: int) -> str | None:
    return captions[min(which, len(captions) - 1)] or None if captions else None


def default_stream_id(feed: str) -> str:
    """A stream id from a feed's name: what is not allowed in one becomes ``-``."""
    if feed == STANDARD_INPUT:
        return "stdin"
    name = Path(os.path.abspath(feed)).name
    stem, suffix = os.path.splitext(name)
    if suffix.lower() in ARROW_SUFFIXES | {PARQUET_SUFFIX}:
        name = stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".")[:STREAM_ID_LENGTH] or "feed"
