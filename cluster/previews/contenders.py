"""Who competes to show most of a picture within a few bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cluster.evaluation.summary import BASELINES
from shared.codecs import Codec, get_codec
from shared.codecs.baselines import Placeholder, baseline, baseline_names
from shared.codecs.preview import picture_of, preview
from shared.errors import SidewireError
from shared.pictures import Picture

__all__ = ["Contender", "Shown", "contenders", "of_codec", "of_previews"]


@dataclass(frozen=True)
class Shown:
    """What a contender shows: the bytes that it takes, and what is drawn from them, of the true size."""

    bytes: int
    picture: Picture


class Contender(Protocol):
    """Shows the most of a picture that it can within a limit in bytes; None where nothing of it fits."""

    def __call__(self, picture: Picture, limit: int, /) -> Shown | None:
        """See the class."""


def of_codec(codec: Codec) -> Contender:
    """A codec at the finest of its levels that fits."""

    def show(picture: Picture, limit: int) -> Shown | None:
        for level in reversed(codec.qualities):
            encoded = codec.encode(picture, level)
            if encoded.counted <= limit:
                return Shown(encoded.counted, codec.decode(encoded.blob).picture)
        return None

    return show


def of_previews(
    made: Callable[[Picture, int], bytes], drawn: Callable[[bytes], Picture]
) -> Contender:
    """Blobs that are made for a limit and count whole; an error says that none fits."""

    def show(picture: Picture, limit: int) -> Shown | None:
        try:
            blob = made(picture, limit)
        except SidewireError:
            return None
        return Shown(len(blob), drawn(blob))

    return show


def contenders() -> dict[str, Contender]:
    """Everybody by name, as far as this machine has the libraries."""
    others = [name for name in baseline_names() if isinstance(baseline(name), Placeholder)]
    ours: dict[str, Contender] = {
        "base": of_previews(lambda picture, limit: preview(picture, limit).blob, picture_of)
    }
    return ours | {name.removeprefix(BASELINES): of_codec(get_codec(name)) for name in others}
