"""The evidence of ``misc``: what its levels hold and score beside the stream, and what each part is worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from cluster.compare.gains import compared
from cluster.compare.records import Counted, Pair, Question
from cluster.evaluation.bootstrap import Interval
from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.evaluation.examiner import Examiner, Measures
from cluster.evaluation.rows import ResultRow
from cluster.evaluation.texts import TextMode
from cluster.reproduce.comparisons import mean_of
from cluster.reproduce.evidence import Evidence, Request, feeds, rows_of
from cluster.reproduce.tables import Cell, Column, Section, TableRow
from shared.codecs.semantic import Opened, SemanticDecoder, SemanticEncoder
from shared.feed import CAPTION_COLUMNS, read_feed
from shared.pictures import Picture, picture_from_bytes
from shared.telling.telling import Telling

__all__ = ["EVIDENCE"]

MISC, BASE = CodecEntry("misc", "misc"), CodecEntry("base", "base")
#: Levels of base between whose rates those of misc lie.
LADDER = tuple(range(8, 14))
TEXTS = (TextMode.MATCHED,)
#: Of photographs of some size.
FEEDS = ("Kodak", "COCO")
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


#: The rows of Table IV, the whole first.
TABLE4 = (
    Kept(3, description=True, reference=True),
    Kept(3, description=False, reference=True),
    Kept(2, description=False, reference=True),
    Kept(1, description=False, reference=True),
    Kept(0, description=True, reference=True),
    Kept(3, description=True, reference=False),
)


def _halves() -> tuple[SemanticEncoder, SemanticDecoder]:
    codec = open_codec(MISC)
    encoder, decoder = codec.encoder, codec.decoder
    assert isinstance(encoder, SemanticEncoder)
    assert isinstance(decoder, SemanticDecoder)
    return encoder, decoder


def _read(path: Path, limit: int | None) -> Iterator[tuple[Picture, tuple[str, ...]]]:
    """Pictures, and what was said of them."""
    for row in islice(read_feed(path, CAPTION_COLUMNS), limit):
        yield picture_from_bytes(row.image), row.captions


# -- levels -------------------------------------------------------------------------------------


def _where_bytes_go(name: str, path: Path, limit: int | None) -> Section:
    """Means of what streams hold, in bytes."""
    encoder, decoder = _halves()
    found: dict[int, list[list[float]]] = {level: [] for level in encoder.qualities}
    for picture, captions in _read(path, limit):
        for level, rows in found.items():
            blob = encoder.encode_told(picture, level, captions[0] if captions else None).blob
            opened = decoder.open(blob)
            bits = encoder.terms.coder.bits(opened.telling)
            parts = [bits.description, bits.names, bits.details, bits.maps]
            told = [part / 8 for part in parts]
            whole = len(blob)
            bpp = 8 * whole / (picture.shape[0] * picture.shape[1])
            rows.append([whole, bpp, *told, whole - sum(told), opened.header.quality])
    headings = ("bytes", "bpp", "description", "names", "details", "maps", "rest", "base's level")
    digits = (0, 4, 1, 1, 1, 1, 0, 1)
    table = [
        TableRow(f"MISC-{level}", tuple(np.mean(rows, axis=0).tolist()))
        for level, rows in found.items()
    ]
    return Section(
        title=f"What a stream holds, {name} ({len(found[1])} pictures)",
        first="level",
        columns=tuple(Column(*one) for one in zip(headings, digits, strict=True)),
        rows=tuple(table),
        note="Means of whole containers in bytes; words and maps by their code lengths in them, of the own"
        " caption. The rest is header, check and reference, which is of that level of base.",
    )


def _against_base(name: str, rows: Sequence[ResultRow]) -> Section:
    """Gains over base's own picture in as many bytes."""
    pairs = [Pair(Question.BASE, "misc", "encoder", text, "base", TextMode.NONE) for text in TEXTS]
    gains, _ = compared(pairs, rows)
    measures = {"psnr": ("PSNR (dB)", 2), "feature_distance": ("feature distance", 4)}
    measures |= {"ssimulacra2": ("SSIMULACRA2", 2), "judge": ("judge score", 4)}
    table = []
    for text in TEXTS:
        for level in sorted({row.quality for row in rows if row.codec == "misc"}):
            own = [g for g in gains if (g.pair.text, g.quality) == (text, level)]
            known = {g.measure: g for g in own if g.counted is Counted.PICTURE}
            cells: list[Cell] = [known["psnr"].bpp]
            cells += [known[measure].gain for measure in measures]
            table.append(TableRow(f"MISC-{level}, {text}", tuple(cells)))
    columns = [Column("bpp", 4)]
    columns += [Column(heading, digits, signed=True) for heading, digits in measures.values()]
    return Section(
        title=f"MISC against base's picture in as many bytes, {name}",
        first="level and caption at the sender",
        columns=tuple(columns),
        rows=tuple(table),
        note="Over 0 is better than base, whose measures are read between its levels. Feature distance stands"
        " in the painter's loss; the judge does not, and reads captions that were not told.",
    )


def _levels(request: Request, progress: Progress) -> list[Section]:
    sections = []
    for name, path in feeds(request, *FEEDS).items():
        ladder = {BASE: LADDER, MISC: open_codec(MISC).qualities}
        rows = rows_of(request, (name, path), ladder, TEXTS, progress)
        sections += [_where_bytes_go(name, path, request.limit), _against_base(name, rows)]
    return sections


# -- parts --------------------------------------------------------------------------------------


def _scores(
    kept: Kept, opened: Opened, level: int, captions: Sequence[str], examiner: Examiner
) -> tuple[float, ...]:
    """Bits a pixel, PSNR, feature distance and judge score of what is left of a stream."""
    encoder, decoder = _halves()
    picture = examiner.original
    shown = picture if kept.reference else np.full_like(picture, GREY)
    reference = opened.header.quality if kept.reference else encoder.reference.qualities[0]
    encoded = encoder.sealed(shown, level, kept.of(opened.telling), reference)
    scores = examiner.scores(decoder.decode(encoded.blob).picture, captions[1:])
    judge = fmean(scores.judge) if scores.judge else math.nan
    assert scores.feature_distance is not None
    return encoded.bits_per_pixel, scores.psnr, scores.feature_distance, judge


def _table4(request: Request, progress: Progress) -> list[Section]:
    encoder, decoder = _halves()
    sections = []
    for name, path in feeds(request, *FEEDS).items():
        found: dict[tuple[int, Kept], list[tuple[float, ...]]] = {}
        bar = progress.add_task(name, total=request.limit)
        for picture, captions in _read(path, request.limit):
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


EVIDENCE: dict[str, Evidence] = {"misc-levels": _levels, "misc-table4": _table4}
