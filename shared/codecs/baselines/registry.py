"""Baselines by name, as far as this machine has the libraries that write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache

from PIL import Image

from shared.codecs.baselines.copies import COPIES, Copy
from shared.codecs.baselines.files import FORMATS, PillowCodec
from shared.codecs.baselines.interface import Baseline

__all__ = ["baseline", "baseline_names"]


def _files() -> Iterator[Baseline]:
    """File formats; JPEG XL comes with an extra."""
    yield from (PillowCodec(one) for one in FORMATS if one.format in Image.SAVE)


def _hashes() -> Iterator[Baseline]:
    """Hashes, whose libraries come with an extra; each module imports its own."""
    with suppress(ImportError):
        from shared.codecs.baselines.blurhash import BlurHash  # noqa: PLC0415

        yield BlurHash()
    with suppress(ImportError):
        from shared.codecs.baselines.thumbhash import ThumbHash  # noqa: PLC0415

        yield ThumbHash()


def _copies() -> Iterator[Baseline]:
    """Tiny copies; Pillow may have been built without AVIF."""
    yield from (Copy(one) for one in COPIES if one.format in Image.SAVE)


@cache
def _known() -> dict[str, Baseline]:
    Image.init()
    return {one.name: one for one in (*_files(), *_hashes(), *_copies())}


def baseline_names() -> tuple[str, ...]:
    """The baselines that this machine can write."""
    return tuple(_known())


def baseline(name: str) -> Baseline:
    """The baseline of that name, which must be one of :func:`baseline_names`."""
    return _known()[name]
