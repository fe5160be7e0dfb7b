"""Which codecs are compared, and at which of their levels."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

from cluster.commands.completion import BASELINES
from cluster.compare.records import NotMeasured
from cluster.compare.request import Request
from cluster.evaluation.measure import chosen_levels, codecs_named
from cluster.evaluation.rows import Levels
from cluster.evaluation.summary import BASELINES as BASELINE
from shared.bundle import MANIFEST_NAME
from shared.codecs import TextPlacement, codec_names, get_codec
from shared.codecs.loading import bundle_folder
from shared.errors import SidewireError
from shared.feed import read_feed
from shared.pictures import Picture, picture_from_bytes
from shared.systems.catalogue import systems

__all__ = ["BASE", "WINDOW", "choose", "levels_between", "usual_codecs"]

#: The stream that times and gains are held against.
BASE = "base"
#: Formats that stand beside the systems.
FORMATS = ("baseline/webp", "baseline/avif")
#: Bits per pixel between which levels are chosen.
WINDOW = (0.02, 0.2)
#: A curve needs two points.
FEWEST_LEVELS = 2


def usual_codecs() -> tuple[str, ...]:
    """``base``, every system that reads captions, their twins, and two formats of the day."""
    rows = systems().values()
    told = [row for row in rows if row.text is not TextPlacement.NOWHERE]
    wanted = {BASE, *(row.name for row in told), *(row.twin for row in told)}
    return (*(row.name for row in rows if row.name in wanted), *FORMATS)


def choose(request: Request) -> tuple[Levels, list[NotMeasured]]:
    """Levels by codec, in the order of the table, and what cannot be had here.

    Raises:
        UnknownCodecError: a name or pattern fits no codec. QualityError: a system has none of the levels.
        BundleError: weights are damaged, or those of a system that was asked for are missing.
        FeedError: the feed cannot be read. SidewireError: no picture of it can.
    """
    patterns = usual_codecs() if request.codecs is None else request.codecs
    missing = [
        NotMeasured(name, "this machine has no library that writes it")
        for name in patterns
        if name in BASELINES and name not in codec_names()
    ]
    if request.codecs is None:
        missing += [
            NotMeasured(name, f"its weights are not in {bundle_folder(systems()[name])}")
            for name in patterns
            if name in systems() and not (bundle_folder(systems()[name]) / MANIFEST_NAME).exists()
        ]
    absent = {one.what for one in missing}
    names = codecs_named([name for name in patterns if name not in absent])
    picture = _first_picture(request.feed, request.limit)
    levels: Levels = {}
    for name in names:
        if request.levels is not None and not name.startswith(BASELINE):
            levels |= chosen_levels([name], request.levels)
        else:
            levels[name] = levels_between(get_codec(name).qualities, _rate_of(name, picture))
    return levels, missing


def _first_picture(feed: Path, limit: int | None) -> Picture:
    for row in islice(read_feed(feed), limit):
        try:
            return picture_from_bytes(row.image)
        except SidewireError:
            continue  # it is reported where it is measured
    raise SidewireError(f"{feed}: no picture could be read")


def _rate_of(name: str, picture: Picture) -> Callable[[int], float]:
    """Bits per pixel of a level on a picture."""
    return cache(lambda level: get_codec(name).encode(picture, level).bits_per_pixel)


def levels_between(
    qualities: Sequence[int],
    rate_of: Callable[[int], float],
    window: tuple[float, float] = WINDOW,
) -> tuple[int, ...]:
    """Levels whose rates lie in a window, and the next finer ones where these are too few for a curve.

    Args:
        qualities: of a codec, coarsest first.
        rate_of: bits per pixel of a level, rising with it; asked for few of them.
    """
    first = bisect_left(qualities, window[0], key=rate_of)
    last = bisect_right(qualities, window[1], key=rate_of)
    first = min(first, max(0, len(qualities) - FEWEST_LEVELS))
    return tuple(qualities[first : max(last, first + FEWEST_LEVELS)])
