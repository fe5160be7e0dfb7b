"""Table IV of MISC: what each part of a stream is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from cluster.evaluation.bootstrap import Interval
from cluster.evaluation.examiner import Examiner, Measures
from cluster.reproduce.comparisons import mean_of
from cluster.reproduce.evidence import Evidence, Request, feeds
from cluster.reproduce.misc import FEEDS, halves, pictures_of
from cluster.reproduce.tables import Column, Section, TableRow
from shared.codecs.semantic import Opened
from shared.telling.telling import Telling

__all__ = ["EVIDENCE"]

#: Levels with every part.
WHOLE = (1, 2)
#: What stands where no reference is sent.
GREY = 128


@dataclass(frozen=True)
class Kept:
    """What is left of a stream's parts.

    Attributes:
        items: how many names with their details and maps.
    """

    items: int
    description: bool
    reference: bool

    @property
    def name(self) -> str:
        """As the table has it."""
        parts = [f"{self.items} items" if self.items else "no items"]
        parts.append("description" if self.description else "no description")
        parts.append("reference" if self.reference else "no reference")
        return ", ".join(parts)

    def of(self, telling: Telling) -> Telling:
        """What is left of a telling."""
        return Telling(telling.description if self.description else "", telling.items[: self.items])


#: The rows of Table IV, the whole first, and one without a word.
TABLE4 = (
    Kept(3, description=True, reference=True),
    Kept(3, description=False, reference=True),
    Kept(2, description=False, reference=True),
    Kept(1, description=False, reference=True),
    Kept(0, description=True, reference=True),
    Kept(0, description=False, reference=True),
    Kept(3, description=True, reference=False),
)


def _scores(
    kept: Kept, opened: Opened, level: int, captions: Sequence[str], examiner: Examiner
) -> tuple[float, ...]:
    """Bits a pixel, PSNR, feature distance and judge score of what is left of a stream."""
    encoder, decoder = halves()
    picture = examiner.original
    shown = picture if kept.reference else np.full_like(picture, GREY)
    reference = opened.header.quality if kept.reference else encoder.reference.qualities[0]
    encoded = encoder.sealed(shown, level, kept.of(opened.telling), reference)
    scores = examiner.scores(decoder.decode(encoded.blob).picture, captions[1:])
    judge = fmean(scores.judge) if scores.judge else math.nan
    assert scores.feature_distance is not None
    return encoded.bits_per_pixel, scores.psnr, scores.feature_distance, judge


def _table4(request: Request, progress: Progress) -> list[Section]:
    encoder, decoder = halves()
    sections = []
    for name, path in feeds(request, *FEEDS).items():
        found: dict[tuple[int, Kept], list[tuple[float, ...]]] = {}
        bar = progress.add_task(name, total=request.limit)
        for picture, captions in pictures_of(path, request.limit):
            examiner = Examiner(picture, Measures(ssimulacra2=False, matching=True))
            for level in WHOLE:
                blob = encoder.encode_told(picture, level, captions[0] if captions else None).blob
                opened = decoder.open(blob)
                for kept in TABLE4:
                    scores = _scores(kept, opened, level, captions, examiner)
                    found.setdefault((level, kept), []).append(scores)
            progress.advance(bar)
        sections += [_parts_of(name, level, found) for level in WHOLE]
    return sections


def _parts_of(
    name: str, level: int, found: dict[tuple[int, Kept], list[tuple[float, ...]]]
) -> Section:
    everything = np.array(found[level, TABLE4[0]])
    table = []
    for kept in TABLE4:
        values = np.array(found[level, kept])
        bpp, psnr, distance, judge = np.nanmean(values, axis=0).tolist()
        change: NDArray[np.float64] = values - everything
        differences: list[Interval | None] = [None, None]
        if kept is not TABLE4[0]:
            differences = [mean_of(change[:, 2]), mean_of(change[:, 3])]
        table.append(
            TableRow(kept.name, (bpp, psnr, distance, differences[0], judge, differences[1]))
        )
    return Section(
        title=f"MISC-{level} without its parts, {name} ({len(everything)} pictures)",
        first="what is left",
        columns=(
            Column("bpp", 4),
            Column("PSNR (dB)", 2),
            Column("feature distance", 4),
            Column("change", 4, signed=True),
            Column("judge score", 4),
            Column("change", 4, signed=True),
        ),
        rows=tuple(table),
        note="As Table IV of Li et al.: references stay what they are with all parts; where none is sent,"
        " a grey one stands. Less feature distance and more judge score are better.",
    )


EVIDENCE: dict[str, Evidence] = {"misc-table4": _table4}
