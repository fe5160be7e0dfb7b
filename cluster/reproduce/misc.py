"""The evidence of ``misc``: what its levels hold, what they score beside the stream, and what words do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from rich.progress import Progress

from cluster.compare.gains import compared
from cluster.compare.records import Counted, Pair, Question
from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.evaluation.rows import ResultRow
from cluster.evaluation.texts import TextMode
from cluster.reproduce.comparisons import mean_gain
from cluster.reproduce.evidence import Evidence, Request, feeds, rows_of, sheet_of
from cluster.reproduce.sheet import MEASURES, Condition, Sheet
from cluster.reproduce.tables import Cell, Column, Section, TableRow
from shared.codecs.semantic import SemanticDecoder, SemanticEncoder
from shared.feed import CAPTION_COLUMNS, read_feed
from shared.pictures import Picture, picture_from_bytes

__all__ = ["EVIDENCE", "FEEDS", "MISC", "halves", "pictures_of", "sections_of"]

MISC, BASE = CodecEntry("misc", "misc"), CodecEntry("base", "base")
#: Levels of base between whose rates those of misc lie, for photographs.
LADDER = range(8, 14)
#: What senders are told where captions are compared.
ANY = (TextMode.MATCHED, TextMode.MISMATCHED, TextMode.NONE)
#: Of photographs of some size.
FEEDS = ("Kodak", "COCO")
#: What words are judged by: all but what moves with the rate alone.
WORDS = tuple(one for one in MEASURES if one.name != "ms_ssim")


def halves() -> tuple[SemanticEncoder, SemanticDecoder]:
    """Both halves of ``misc``."""
    codec = open_codec(MISC)
    encoder, decoder = codec.encoder, codec.decoder
    assert isinstance(encoder, SemanticEncoder)
    assert isinstance(decoder, SemanticDecoder)
    return encoder, decoder


def pictures_of(path: Path, limit: int | None) -> Iterator[tuple[Picture, tuple[str, ...]]]:
    """Pictures, and what was said of them."""
    for row in islice(read_feed(path, CAPTION_COLUMNS), limit):
        yield picture_from_bytes(row.image), row.captions


def _where_bytes_go(name: str, path: Path, limit: int | None) -> Section:
    """Means of what streams hold, in bytes."""
    encoder, decoder = halves()
    found: dict[int, list[list[float]]] = {level: [] for level in encoder.qualities}
    for picture, captions in pictures_of(path, limit):
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
    own = TextMode.MATCHED
    pair = Pair(Question.BASE, "misc", "encoder", own, "base", TextMode.NONE)
    gains, _ = compared([pair], rows)
    measures = {"psnr": ("PSNR (dB)", 2), "feature_distance": ("feature distance", 4)}
    measures |= {"ssimulacra2": ("SSIMULACRA2", 2), "judge": ("judge score", 4)}
    table = []
    for level in sorted({row.quality for row in rows if row.codec == "misc"}):
        at_level = (g for g in gains if (g.quality, g.counted) == (level, Counted.PICTURE))
        known = {g.measure: g for g in at_level}
        cells: list[Cell] = [known["psnr"].bpp]
        cells += [known[measure].gain for measure in measures]
        table.append(TableRow(f"MISC-{level}, {own}", tuple(cells)))
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


def _by_words(sheet: Sheet) -> Section:
    """What the own caption, and another picture's, do over none."""
    table = []
    for level in sheet.qualities("misc"):
        nothing = Condition("misc", level, TextMode.NONE)
        for text in (TextMode.MATCHED, TextMode.MISMATCHED):
            said = Condition("misc", level, text)
            cells = [mean_gain(sheet, said, nothing, measure) for measure in WORDS]
            table.append(TableRow(f"MISC-{level}, {text}", tuple(cells)))
    return Section(
        title=f"Captions at MISC's sender over none, {sheet.feed} ({len(sheet.ids)} pictures)",
        first="level and caption",
        columns=tuple(Column(one.label, one.digits, signed=True) for one in WORDS),
        rows=tuple(table),
        note="At the same level, hence within the same bytes. Without a caption the describer says what it"
        " sees. Over 0 is better, by distances too.",
    )


def sections_of(
    request: Request, feed: tuple[str, Path], progress: Progress, ladder: Sequence[int] = LADDER
) -> list[Section]:
    """What streams of one feed hold, and what they show beside levels of base."""
    name, path = feed
    entries = {BASE: tuple(ladder), MISC: open_codec(MISC).qualities}
    rows = rows_of(request, feed, entries, [TextMode.MATCHED], progress)
    return [_where_bytes_go(name, path, request.limit), _against_base(name, rows)]


def _levels(request: Request, progress: Progress) -> list[Section]:
    found = feeds(request, *FEEDS)
    return [one for feed in found.items() for one in sections_of(request, feed, progress)]


def _words(request: Request, progress: Progress) -> list[Section]:
    entries = {MISC: open_codec(MISC).qualities}
    found = feeds(request, *FEEDS).items()
    return [_by_words(sheet_of(request, feed, entries, ANY, progress)) for feed in found]


EVIDENCE: dict[str, Evidence] = {"misc-levels": _levels, "misc-words": _words}
