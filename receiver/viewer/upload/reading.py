"""The process that reads visitors' files: nothing of a file is looked at anywhere else.

It has no torch, so it is small and quick to replace where a file has killed it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from receiver.viewer.lab import NICE, Refused
from shared.errors import reason_of
from shared.pictures import picture_from_bytes, picture_head, quick_png

__all__ = ["Read", "Seen", "build_reader"]


@dataclass(frozen=True, slots=True)
class Read:
    """Turn a visitor's file into one of pixels, upright and in sRGB."""

    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that was read."""

    format: str
    width: int
    height: int


def build_reader() -> tuple[None, Callable[[Read], Seen | Refused]]:
    """What answers requests."""
    os.nice(NICE)
    return None, _read


def _read(request: Read) -> Seen | Refused:
    try:
        data = request.source.read_bytes()
        head = picture_head(data)
        picture = picture_from_bytes(data)
        del data
        request.target.write_bytes(quick_png(picture))
    except Exception as error:  # whatever this file did, the next one is read
        return Refused(reason_of(error))
    height, width = picture.shape[:2]
    return Seen(head.format, width, height)
