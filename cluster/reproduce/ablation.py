"""Table 1 of Qin et al.: what each part of the text is worth, as extra rate without it.

Also the Wyner-Ziv gap: text nowhere, at the decoder, at both ends. In both cases one architecture, and
each row is another training run.
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.evaluation.texts import TextMode
from cluster.reproduce.comparisons import extra_rate, gain_at_total_bits, mean_gain, mean_of
from cluster.reproduce.sheet import MEASURES, Condition, Sheet
from cluster.reproduce.tables import Column, Section, TableRow

__all__ = ["against_stream", "equal_bits", "extra_rates", "total_bits"]


def best_text(sheet: Sheet, codec: str, quality: int) -> TextMode:
    """The picture's own caption for a codec that reads it, else nothing."""
    texts = sheet.texts(codec, quality)
    return TextMode.MATCHED if TextMode.MATCHED in texts else TextMode.NONE


def ladder(sheet: Sheet, codec: str) -> list[Condition]:
    """A codec's levels, each told what it can read."""
    return [Condition(codec, q, best_text(sheet, codec, q)) for q in sheet.qualities(codec)]


def extra_rates(sheet: Sheet, full: str, variants: Sequence[str]) -> Section:
    """Extra rate of every variant against the full model at equal quality, in percent."""
    anchor = ladder(sheet, full)
    rows = tuple(
        TableRow(
            variant, tuple(extra_rate(sheet, anchor, ladder(sheet, variant), m) for m in MEASURES)
        )
        for variant in variants
    )
    return Section(
        title=f"Extra rate at equal quality, {sheet.feed} ({len(sheet.ids)} pictures)",
        first=f"against {full}",
        columns=tuple(Column(f"by {m.label} %", 2, signed=True) for m in MEASURES),
        rows=rows,
        note="BD-rate over all levels, bits of the picture alone. Over 0: the variant needs more bits.",
    )


def against_stream(sheet: Sheet, codec: str, stream: str) -> Section:
    """A generator against the stream's own synthesis of the same symbols, level by level."""
    rows = []
    for quality in sheet.qualities(codec):
        theirs = Condition(stream, quality, TextMode.NONE)
        own = Condition(codec, quality, best_text(sheet, codec, quality))
        for name, condition in ((stream, theirs), (f"{codec}, {own.text}", own)):
            values = tuple(mean_of(sheet.column(condition, m)) for m in MEASURES)
            rows.append(TableRow(f"{quality}, {name}", (mean_of(sheet.bpp(condition)), *values)))
    return Section(
        title=f"{codec} against {stream} on the same symbols, {sheet.feed}"
        f" ({len(sheet.ids)} pictures)",
        first="level, picture by",
        columns=(Column("bpp", 4), *(Column(m.label, m.digits) for m in MEASURES)),
        rows=tuple(rows),
        note="Means; the bits are equal but for the header.",
    )


def equal_bits(sheet: Sheet, full: str, variants: Sequence[str]) -> Section:
    """How much better the full model is than each variant, level by level, on the same stream."""
    rows = []
    for quality in sheet.qualities(full):
        own = Condition(full, quality, best_text(sheet, full, quality))
        rivals = [(f"{full} told nothing", Condition(full, quality, TextMode.NONE))]
        rivals += [(v, Condition(v, quality, best_text(sheet, v, quality))) for v in variants]
        for name, rival in rivals:
            if rival == own or rival not in sheet.conditions:
                continue
            gains = tuple(mean_gain(sheet, own, rival, m) for m in MEASURES)
            rows.append(TableRow(f"{quality}, {name}", (mean_of(sheet.bpp(own)), *gains)))
    return Section(
        title=f"Gain of {full} at the same level, {sheet.feed} ({len(sheet.ids)} pictures)",
        first="level, against",
        columns=(
            Column("bpp", 4),
            *(Column(m.label, m.digits + (m.digits < 4), signed=True) for m in MEASURES),
        ),
        rows=tuple(rows),
        note=f"Over 0: {full} is better, by distances too.",
    )


def total_bits(sheet: Sheet, codec: str, rival: str) -> Section:
    """A codec against one that sends colour, at equal bits of picture and caption together."""
    rows = []
    for condition in ladder(sheet, codec):
        gains = tuple(
            gain_at_total_bits(sheet, condition, ladder(sheet, rival), m) for m in MEASURES
        )
        rates = (
            mean_of(sheet.bpp(condition)),
            mean_of(sheet.bpp(condition, with_caption=True)),
        )
        rows.append(TableRow(f"{condition.quality}, {condition.text}", (*rates, *gains)))
    return Section(
        title=f"{codec} against {rival} at equal total bits, {sheet.feed} ({len(sheet.ids)} pictures)",
        first="level, text",
        columns=(
            Column("bpp", 4),
            Column("with caption", 4),
            *(Column(m.label, m.digits + (m.digits < 4), signed=True) for m in MEASURES),
        ),
        rows=tuple(rows),
        note=f"{rival} at the rate of picture and caption, between its levels' means."
        f" Over 0: {codec} is better.",
    )
