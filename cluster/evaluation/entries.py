"""Which codec is measured: a registered one, or one of a bundle's folder, its guard on or off."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shared.codecs import Codec, load_codec

__all__ = ["CodecEntry", "open_codec"]


@dataclass(frozen=True)
class CodecEntry:
    """One codec under comparison.

    Attributes:
        label: in the rows.
        codec: registered name.
        bundle: folder of another bundle than the shipped one.
        guard: False asks a generator that reads captions to believe them all.
    """

    label: str
    codec: str
    bundle: Path | None = None
    guard: bool = True


@cache
def open_codec(entry: CodecEntry) -> Codec:
    """The codec, loaded once a process.

    Raises:
        UnknownCodecError, BundleError: it cannot be had.
    """
    return load_codec(entry.codec, entry.bundle, guard=entry.guard)
