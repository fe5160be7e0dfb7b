"""The evidence of ``ssa``: counterparts of the paper's tables and figures on the weights that ship."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

from rich.progress import Progress

from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.evaluation.texts import TextMode
from cluster.reproduce.ablation import against_stream, equal_bits, extra_rates, total_bits
from cluster.reproduce.equal_bytes import equal_bytes
from cluster.reproduce.evidence import Evidence, Request, feeds, levels, sheet_of
from cluster.reproduce.masks import look_at, write_figure
from cluster.reproduce.stability import captions_in_turn, guarded, spread_and_gap
from cluster.reproduce.tables import Section
from cluster.reproduce.variants import Variant, entries_of
from cluster.reproduce.words import words
from shared.bundle import MANIFEST_NAME
from shared.errors import SidewireError
from shared.feed import read_feed
from shared.pictures import picture_from_bytes

__all__ = ["EVIDENCE", "FULL", "NO_TEXT", "VARIANTS"]


def _variant(name: str, ships_as: str = "", **texts: bool) -> Variant:
    changes = {"name": ships_as or "ssa", "guard": None, **texts}
    return Variant(name, "ssa", changes, ships_as)


#: Models of one architecture on one stream, by who reads the captions: G and D, G, D, nobody.
FULL = _variant("full", "ssa")
NO_TEXT = _variant("no-text", "none", generator_text=False, discriminator_text=False)
VARIANTS = (
    _variant("no-d-text", discriminator_text=False),
    _variant("no-g-text", generator_text=False),
    NO_TEXT,
)
#: Decodes the same symbols with the stream's own synthesis.
STREAM = CodecEntry("base", "base")
#: Of the Wyner-Ziv comparison: bundles of one architecture, by where the text is, and the other recipe's,
#: whose encoder never knew that there would be captions.
AT_DECODER = "decoder"
PLACES = (AT_DECODER, "nowhere", "both", "frozen")
#: Pictures a feed in the figures.
FIGURES = 3


def stream(request: Request, progress: Progress) -> list[Section]:
    """The generator against the stream's own pictures of the same symbols."""
    full = CodecEntry(FULL.name, "ssa")
    own = open_codec(full).qualities
    entries = {full: own, STREAM: own}
    modes = (TextMode.MATCHED, TextMode.NONE)
    return [
        against_stream(sheet_of(request, feed, entries, modes, progress), FULL.name, STREAM.label)
        for feed in feeds(request).items()
    ]


def table1(request: Request, progress: Progress) -> list[Section]:
    """Table 1: extra rate without parts of the text."""
    entries = entries_of((FULL, *VARIANTS), request.data, request.variants, train=request.train)
    labels = [entry.label for entry in entries if entry.label != FULL.name]
    sections = []
    modes = (TextMode.MATCHED, TextMode.NONE)
    for feed in feeds(request).items():
        sheet = sheet_of(request, feed, levels([*entries, STREAM]), modes, progress)
        sections += [
            extra_rates(sheet, FULL.name, labels),
            equal_bits(sheet, FULL.name, labels),
            *(total_bits(sheet, FULL.name, rival) for rival in (NO_TEXT.name, STREAM.label)),
        ]
    return sections


def table2(request: Request, progress: Progress) -> list[Section]:
    """Table 2: five captions, a generic and a wrong one at the same bits, guard off and on."""
    off = CodecEntry("guard off", "ssa", guard=False)
    on = CodecEntry("guard on", "ssa")
    open_codec(on).encoder.check_quality(request.quality)
    own = (request.quality,)
    sections = []
    for feed in feeds(request).items():
        sheet = sheet_of(request, feed, {off: own, on: own}, tuple(TextMode), progress)
        for label in (off.label, on.label):
            sections.append(captions_in_turn(sheet, label, request.quality))
            sections.append(spread_and_gap(sheet, label, request.quality))
        sections.append(guarded(sheet, off.label, on.label, request.quality))
    return sections


def recipes(request: Request, progress: Progress) -> list[Section]:
    """The Wyner-Ziv gap: text nowhere, at the decoder, at both ends, and the frozen recipe."""
    places = [place for place in PLACES if (request.joint / place / MANIFEST_NAME).exists()]
    if AT_DECODER not in places:
        raise SidewireError(f"{request.joint / AT_DECODER}: no bundle of the joint recipe is there")
    entries = [CodecEntry(place, "ssa", bundle=request.joint / place) for place in places]
    others = [place for place in places if place != AT_DECODER]
    sections = []
    for feed in feeds(request).items():
        modes = (TextMode.MATCHED, TextMode.NONE)
        sheet = sheet_of(request, feed, levels([*entries, STREAM]), modes, progress)
        sections += [
            extra_rates(sheet, AT_DECODER, [*others, STREAM.label]),
            equal_bits(sheet, AT_DECODER, ()),
        ]
    return sections


def masks(request: Request, progress: Progress) -> list[Path]:
    """Fig. 10: a figure a picture, with its first captions and one of another picture."""
    codec = open_codec(CodecEntry("ssa", "ssa", guard=False))
    codec.encoder.check_quality(request.quality)
    written = []
    for name, path in feeds(request).items():
        rows = list(islice(read_feed(path), (request.limit or FIGURES) + 1))
        bar = progress.add_task(f"{name} masks", total=len(rows) - 1)
        for row, stranger in pairwise(rows):
            picture = picture_from_bytes(row.image)
            told = (row.captions[:2], stranger.captions[:1])
            sheet = look_at(codec, f"{name} {row.id}", picture, request.quality, *told)
            target = request.out / f"masks-{name.lower()}-{Path(row.id).stem}.png"
            write_figure(target, sheet)
            written.append(target)
            progress.advance(bar)
    return written


EVIDENCE: dict[str, Evidence] = {
    "ssa-stream": stream,
    "ssa-table1": table1,
    "ssa-table2": table2,
    "ssa-recipes": recipes,
    "ssa-masks": masks,
    "ssa-words": words,
    "ssa-bytes": equal_bytes,
}
