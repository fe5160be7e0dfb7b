"""Captions beside the pictures of a folder.

They stand in ``captions.jsonl``, one JSON object a line with ``file`` (name with or without ending) or
``id`` and ``caption`` or ``captions``, a string or a list of strings; where there is no such file, in
``stem.txt`` beside each picture, the whole of it one caption in UTF-8. A null is none.

A caption that cannot be read fails no other: there is a warning, and its picture has none.
"""

from __future__ import annotations

import codecs
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.errors import LimitError
from shared.feed_columns import FeedError

__all__ = ["CAPTIONS_NAME", "SIDECAR_SUFFIX", "captions_beside", "read_within"]

log = logging.getLogger("sidewire.captions")

CAPTIONS_NAME = "captions.jsonl"
SIDECAR_SUFFIX = ".txt"
#: Largest sidecar that is read, in bytes.
LARGEST_SIDECAR = 1 << 20
#: Lines that are told of one by one.
LINES_TOLD = 10

#: The captions of the picture at a path.
CaptionsOf = Callable[[Path], tuple[str, ...]]


def captions_beside(folder: Path) -> CaptionsOf:
    """What gives the captions of a folder's pictures.

    ``captions.jsonl`` is read by this call and takes about as much memory as it has bytes.

    Raises:
        FeedError: it is there and cannot be opened.
    """
    listed = folder / CAPTIONS_NAME
    if not listed.exists():
        return _sidecar
    captions = _listed(listed)
    return lambda picture: captions.get(picture.name) or captions.get(picture.stem) or ()


def read_within(path: Path, limit: int) -> bytes:
    """A whole file of at most ``limit`` bytes.

    Raises:
        LimitError: it is larger. OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise LimitError(f"{path}: its size in bytes", size, limit)
        return file.read(size)


def _sidecar(picture: Path) -> tuple[str, ...]:
    path = picture.with_suffix(SIDECAR_SUFFIX)
    try:
        text = read_within(path, LARGEST_SIDECAR).decode("utf-8-sig").strip()
    except FileNotFoundError:
        return ()
    except UnicodeDecodeError as error:
        log.warning("skipped the caption %s: not UTF-8: %s", path, error)
    except OSError as error:
        log.warning("skipped the caption %s: cannot be read: %s", path, error.strerror)
    except LimitError as error:
        log.warning("skipped the caption %s", error)
    else:
        return (text,)
    return ()


def _listed(path: Path) -> dict[str, tuple[str, ...]]:
    """Captions by what their lines call the picture."""
    captions = {}
    bad = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                if text.strip():
                    try:
                        name, texts = _parsed(text)
                        captions[name] = texts
                    except (ValueError, RecursionError) as error:  # not UTF-8 is a ValueError, too
                        bad += 1
                        if bad <= LINES_TOLD:
                            log.warning("skipped a caption: %s: line %d: %s", path, number, error)
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from None
    if bad > LINES_TOLD:
        log.warning("skipped %d more captions: %s", bad - LINES_TOLD, path)
    return captions


def _parsed(line: bytes) -> tuple[str, tuple[str, ...]]:
    """A stem or file name and its captions; ValueError says what is wrong."""
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    name = entry.get("file", entry.get("id"))
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str):
        raise ValueError("no string 'file' or 'id'")
    if not entry.keys() & {"caption", "captions"}:
        raise ValueError("no 'caption' or 'captions'")
    captions = _texts(entry.get("captions")) or _texts(entry.get("caption"))
    "".join(captions).encode()  # half of a surrogate pair is JSON, but no text
    return name, captions


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(text is None or isinstance(text, str) for text in values):
        raise ValueError("'caption' and 'captions' are strings, or lists of strings")
    return tuple(text for text in values if text is not None)
