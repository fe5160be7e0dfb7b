"""A comparison's records as tables, for a terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.compare.records import Comparison, Counted, Gain, Pair, Question, SavedBits
from cluster.evaluation.summary import BASELINES
from cluster.evaluation.texts import TextMode
from cluster.reproduce.sheet import MEASURES
from cluster.reproduce.tables import Cell, Column, Section, TableRow
from shared.systems.catalogue import TextPlacement

__all__ = ["answers", "by_level", "named", "rates", "saved_bits", "system_name"]

#: How readers call what was told.
TOLD = {
    TextMode.NONE: "told nothing",
    TextMode.MATCHED: "own caption",
    TextMode.MISMATCHED: "wrong caption",
}
#: Where it was told it, by the placement's name.
ENDS = {
    TextPlacement.ENCODER: "at the encoder",
    TextPlacement.DECODER: "at the decoder",
    TextPlacement.BOTH: "at both ends",
    TextPlacement.IN_STREAM: "in the stream",
}
GAINS = tuple(Column(m.label, m.digits + (m.digits < 4), signed=True) for m in MEASURES)
EQUAL = {Counted.PICTURE: "picture", Counted.TOTAL: "+ caption"}
#: Heading of what counts, and what it means.
BITS = "equal bits of"


def named(codec: str, text_at: str, text: str) -> str:
    """A codec as readers know it: its name, and what which end of it was told."""
    name = codec.removeprefix(BASELINES)
    place = TextPlacement(text_at)
    if place is TextPlacement.NOWHERE:
        return name
    words = TOLD[TextMode(text)]
    return f"{name}, {words}" if text == TextMode.NONE else f"{name}, {words} {ENDS[place]}"


def system_name(pair: Pair) -> str:
    """A pair's codec, and which end of it reads captions."""
    place = TextPlacement(pair.text_at)
    end = "" if place is TextPlacement.NOWHERE else f" ({place.value})"
    return pair.codec.removeprefix(BASELINES) + end


def _pair(pair: Pair) -> str:
    name = system_name(pair)
    if pair.question in {Question.OWN, Question.WRONG}:
        return name
    usual = pair.text == TextMode.MATCHED or TextPlacement(pair.text_at) not in ENDS
    told = "" if usual else f", {TOLD[TextMode(pair.text)]}"
    return f"{name}{told} over {pair.anchor}"


def rates(found: Comparison) -> Section:
    """Every codec, text and level: bits of picture and caption apart, all measures, times."""
    timed = any(row.mean.encode_ms is not None for row in found.rates)
    columns = [
        Column("level"),
        Column("bytes"),
        Column("caption"),
        Column("bpp", 4),
        Column("+text", 4),
        *(Column(_short(m.label), m.digits) for m in MEASURES),
    ]
    if timed:
        columns += [Column("enc ms"), Column("x base", 2), Column("dec ms"), Column("x base", 2)]
    columns.append(Column("n"))
    rows = []
    for row in found.rates:
        mean = row.mean
        cells: list[Cell] = [
            mean.quality,
            round(row.bytes),
            round(row.caption_bytes) or None,
            mean.bpp,
            mean.caption_bpp or None,
            mean.psnr,
            mean.ms_ssim,
            mean.feature_distance,
            mean.ssimulacra2,
            mean.judge,
        ]
        if timed:
            cells += [mean.encode_ms, row.encode_ratio, mean.decode_ms, row.decode_ratio]
        rows.append(TableRow(named(mean.codec, row.text_at, mean.text), (*cells, mean.pictures)))
    return Section(
        title=f"Means over {found.pictures} pictures of {found.feed}",
        first="codec",
        columns=tuple(columns),
        rows=tuple(rows),
        note="Bytes, caption: of the picture's stream, and of the caption where the receiver needs it."
        " bpp, +text: the same in bits a pixel of the picture."
        " x base: as a share of base's time in this run. n: pictures.",
    )


def _short(label: str) -> str:
    """Headings for a terminal."""
    return {"PSNR (dB)": "PSNR", "feature distance": "features", "judge score": "judge"}.get(
        label, label
    )


def answers(gains: Sequence[Gain]) -> list[Section]:
    """A section a question: every system's gain over all levels, at equal bits."""
    sections = []
    for question in Question:
        rows = []
        for lead in _leads(gains, question):
            own = [
                gain
                for gain in gains
                if (gain.pair, gain.counted, gain.quality) == (lead.pair, lead.counted, None)
            ]
            gained = (gain.gain for gain in own)
            cells: tuple[Cell, ...] = (EQUAL[lead.counted], lead.pictures, *gained)
            rows.append(TableRow(_pair(lead.pair), cells))
        if rows:
            sections.append(
                Section(
                    title=question.value.capitalize(),
                    first="system",
                    columns=(Column(BITS), Column("n"), *GAINS),
                    rows=tuple(rows),
                    note="Means over levels and pictures, with paired 95 % bootstrap intervals over"
                    " pictures; over 0 is better, by distances too. n: pictures of the first figure.",
                )
            )
    return sections


def _leads(gains: Sequence[Gain], question: Question) -> list[Gain]:
    """The first measure's gain over all levels of every pair and counting."""
    first = MEASURES[0].name
    return [
        gain
        for gain in gains
        if gain.pair.question is question and gain.quality is None and gain.measure == first
    ]


def by_level(gains: Sequence[Gain]) -> list[Section]:
    """A section a question: gains level by level, and of how many pictures they are."""
    sections = []
    for question in Question:
        lines: dict[tuple[Pair, Counted, int], list[Gain]] = {}
        for gain in gains:
            if gain.pair.question is question and gain.quality is not None:
                lines.setdefault((gain.pair, gain.counted, gain.quality), []).append(gain)
        rows = tuple(
            TableRow(
                _pair(pair),
                (
                    EQUAL[counted],
                    quality,
                    own[0].bpp,
                    own[0].pictures,
                    *(gain.gain for gain in own),
                ),
            )
            for (pair, counted, quality), own in lines.items()
        )
        if rows:
            sections.append(
                Section(
                    title=f"{question.value.capitalize()}, level by level",
                    first="system",
                    columns=(Column(BITS), Column("level"), Column("bpp", 4), Column("n"), *GAINS),
                    rows=rows,
                    note="A picture is left out where the other side's levels do not reach as many"
                    " bytes: n counts those of the first figure that are left.",
                )
            )
    return sections


def saved_bits(saved: Sequence[SavedBits]) -> Section | None:
    """BD-rates of all pairs; None where there are none."""
    lines: dict[tuple[Pair, Counted], list[SavedBits]] = {}
    for one in saved:
        lines.setdefault((one.pair, one.counted), []).append(one)
    if not lines:
        return None
    return Section(
        title="BD-rate: bits needed at equal quality, in percent",
        first="system",
        columns=(
            Column("against"),
            Column("bits of"),
            *(Column(f"by {m.label}", 2, signed=True) for m in MEASURES),
        ),
        rows=tuple(
            TableRow(
                named(pair.codec, pair.text_at, pair.text),
                (_against(pair), EQUAL[counted], *(one.percent for one in own)),
            )
            for (pair, counted), own in lines.items()
        ),
        note="Below 0: fewer bits. Curves of means, over the quality that both reach; a dash where they"
        " share none, or where a measure does not rise with the rate.",
    )


def _against(pair: Pair) -> str:
    return "told nothing" if pair.anchor == pair.codec else pair.anchor
