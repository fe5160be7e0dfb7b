"""A format of the day beside a stream: its best in as many bytes, its bytes for as good a picture.

Below the size of a format's lowest quality people shrink their pictures and let the page enlarge them again.
So does this: a *trial* is a quality of the format's own scale, and a number that the picture's edges are
divided by; of all trials that will do, the best one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass

from shared.codecs.baselines.files import FORMATS, PillowFormat, file_of, open_file
from shared.codecs.baselines.placeholder import enlarged, reduced
from shared.pictures import Picture
from shared.progress import report

__all__ = ["Likeness", "Match", "Outcome", "Trial", "Trials", "best_within", "least_as_good"]

#: Qualities that are tried.
LOWEST, HIGHEST = 0, 95
#: What edges are divided by, where a size is given: mildest first.
SHRINKS_WITHIN = (1, 2, 3, 4, 6, 8, 12, 16)
#: And where a likeness is: the likeliest to be the smallest first, so that others are soon given up.
SHRINKS_AS_GOOD = (2, 1, 3)
#: A file is as large as may be from this share of the limit on, and two pictures are as good as each other
#: this near: what a finer search would find is not worth its time.
NEARLY, AS_GOOD_AS = 0.96, 0.001
#: AVIF as a busy server writes it: at the baseline's speed of 4 a search would take a minute.
IN_HASTE = {"baseline/avif": {"speed": 6}}

#: How like the original a picture is; more is better.
Likeness = Callable[[Picture], float]


@dataclass(frozen=True, order=True)
class Trial:
    """One way to write a picture."""

    shrink: int
    quality: int


@dataclass
class Outcome:
    """What has been found out about a trial: the file's bytes, and its likeness where that was asked for."""

    bytes: int
    likeness: float | None = None


#: What is known of one picture in one format; searches read it and add to it.
Trials = MutableMapping[Trial, Outcome]


@dataclass(frozen=True)
class Match:
    """The trial that was looked for.

    Attributes:
        bytes: of the file.
        picture: what a page shows of it, at the original's size.
    """

    trial: Trial
    bytes: int
    likeness: float
    picture: Picture


class _Search:
    """Trials of one picture in one format, each made once; files that were written are reported."""

    def __init__(self, name: str, original: Picture, like: Likeness, known: Trials) -> None:
        self._format: PillowFormat = next(one for one in FORMATS if one.name == name)
        self._original, self._like, self._known = original, like, known
        self._written = 0

    def _file(self, trial: Trial) -> bytes:
        longest = max(1, -(-max(self._original.shape[:2]) // trial.shrink))
        copy = reduced(self._original, longest)
        options = self._format.options(trial.quality) | IN_HASTE.get(self._format.name, {})
        file = file_of(copy, self._format.format, options)
        self._written += 1
        report(self._written)
        return file

    def _shown(self, file: bytes) -> Picture:
        height, width = self._original.shape[:2]
        with open_file(file, self._format.format) as image:
            return enlarged(image, width, height)

    def bytes(self, trial: Trial) -> int:
        if trial not in self._known:
            self._known[trial] = Outcome(len(self._file(trial)))
        return self._known[trial].bytes

    def likeness(self, trial: Trial) -> float:
        found = self._known.get(trial)
        if found is None or found.likeness is None:
            file = self._file(trial)
            found = self._known[trial] = Outcome(len(file), self._like(self._shown(file)))
        assert found.likeness is not None
        return found.likeness

    def match(self, trial: Trial) -> Match:
        file = self._file(trial)
        return Match(trial, len(file), self.likeness(trial), self._shown(file))


def best_within(
    name: str, original: Picture, limit: int, like: Likeness, known: Trials
) -> Match | None:
    """The likest picture that a format writes in at most ``limit`` bytes; None where nothing fits.

    Args:
        name: of a baseline that is a file format, such as ``baseline/webp``.
        known: what earlier searches with this picture and format have found; added to.
    """
    search = _Search(name, original, like, known)
    best: Trial | None = None
    for shrink in SHRINKS_WITHIN:
        trial = _finest(search, shrink, limit, LOWEST if best is None else best.quality)
        if trial is None:
            continue
        if best is not None and search.likeness(trial) <= search.likeness(best):
            break  # from here on, more is lost by shrinking than finer steps bring back
        best = trial
    return None if best is None else search.match(best)


def _finest(search: _Search, shrink: int, limit: int, first: int) -> Trial | None:
    """The highest quality from ``first`` on that fits; files grow with the quality."""
    fits, over = LOWEST - 1, HIGHEST + 1
    for quality in _ever_finer(first):
        if search.bytes(Trial(shrink, quality)) > limit:
            over = quality
            break
        fits = quality
    if fits < LOWEST:
        return None
    while over - fits > 1 and search.bytes(Trial(shrink, fits)) < NEARLY * limit:
        middle = (fits + over) // 2
        if search.bytes(Trial(shrink, middle)) <= limit:
            fits = middle
        else:
            over = middle
    return Trial(shrink, fits)


def least_as_good(
    name: str, original: Picture, wanted: float, like: Likeness, known: Trials
) -> Match | None:
    """The smallest file of a format whose picture is at least as like the original as ``wanted``; None where
    none is. Arguments as :func:`best_within`'s.
    """
    search = _Search(name, original, like, known)
    best: Trial | None = None
    for shrink in SHRINKS_AS_GOOD:
        limit = None if best is None else search.bytes(best)
        trial = _coarsest(search, shrink, wanted, limit)
        if trial is not None:
            best = trial
    return None if best is None else search.match(best)


def _coarsest(search: _Search, shrink: int, wanted: float, limit: int | None) -> Trial | None:
    """The lowest quality that is good enough; None where none is, or not below ``limit``."""
    poor = LOWEST - 1
    for quality in _ever_finer():
        trial = Trial(shrink, quality)
        if limit is not None and search.bytes(trial) >= limit:
            return None
        if search.likeness(trial) >= wanted:
            good = quality
            break
        poor = quality
    else:
        return None
    while good - poor > 1 and search.likeness(Trial(shrink, good)) - wanted > AS_GOOD_AS:
        middle = (poor + good) // 2
        if search.likeness(Trial(shrink, middle)) >= wanted:
            good = middle
        else:
            poor = middle
    return Trial(shrink, good)


def _ever_finer(quality: int = LOWEST) -> Iterator[int]:
    """Qualities in growing steps: coarse files are the quickest to write."""
    step = 4
    while quality < HIGHEST:
        yield quality
        quality, step = quality + step, 2 * step
    yield HIGHEST
