"""Table 2 of Qin et al.: five captions and a wrong one at the same bits, guard off and on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cluster.evaluation.bootstrap import Interval, interval, resampled_means
from cluster.evaluation.texts import TextMode, caption_number
from cluster.reproduce.comparisons import mean_gain, mean_of
from cluster.reproduce.sheet import MEASURES, Condition, Measure, Sheet, finite
from cluster.reproduce.tables import Column, Section, TableRow

__all__ = ["captions_in_turn", "guarded", "spread_and_gap"]

Values = NDArray[np.float64]
COLUMNS = tuple(Column(m.label, m.digits) for m in MEASURES)
SIGNED = tuple(Column(m.label, m.digits + (m.digits < 4), signed=True) for m in MEASURES)


def _captions(sheet: Sheet, codec: str, quality: int) -> list[Condition]:
    texts = [text for text in sheet.texts(codec, quality) if caption_number(text)]
    return [Condition(codec, quality, text) for text in sorted(texts, key=caption_number)]


def captions_in_turn(sheet: Sheet, codec: str, quality: int) -> Section:
    """Means for each caption, for one that says nothing, for a wrong one and for none."""
    conditions = _captions(sheet, codec, quality)
    others = (TextMode.GENERIC, TextMode.MISMATCHED, TextMode.NONE)
    conditions += [Condition(codec, quality, text) for text in others]
    rows = tuple(
        TableRow(
            condition.text,
            (
                mean_of(sheet.bpp(condition)),
                *(mean_of(sheet.column(condition, measure)) for measure in MEASURES),
            ),
        )
        for condition in conditions
    )
    return Section(
        title=f"{codec}, level {quality}, caption by caption, {sheet.feed}"
        f" ({len(sheet.ids)} pictures)",
        first="caption",
        columns=(Column("bpp", 4), *COLUMNS),
        rows=rows,
        note="The judge scores by the captions that the decoder was not told.",
    )


def _ratio(numerator: Values, denominator: Values) -> Values:
    """NaN where the denominator is not over 0."""
    out = np.full_like(numerator, math.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)


def _spread_and_gap(
    sheet: Sheet, codec: str, quality: int, measure: Measure
) -> tuple[Interval, Interval, Interval]:
    """Spread of the captions' means, gap from their mean to the wrong caption's, and their ratio."""
    own = _captions(sheet, codec, quality)
    none = Condition(codec, quality, TextMode.NONE)
    wrong = Condition(codec, quality, TextMode.MISMATCHED)
    # Against the untold picture: so every caption's judge has the same yardstick.
    over_none = [sheet.gain(c, none, measure) for c in own]
    over_wrong = [sheet.gain(c, wrong, measure) for c in own]
    table = finite(*over_none, *over_wrong)
    missing = Interval(math.nan, None, None)
    if not len(table):
        return missing, missing, missing

    def statistics(means: Values) -> tuple[Values, Values, Values]:
        spread = np.ptp(means[:, : len(own)], axis=1)
        gap = means[:, len(own) :].mean(axis=1)
        return spread, gap, _ratio(spread, gap)

    values = statistics(table.mean(axis=0, keepdims=True))
    draws = statistics(resampled_means(table))
    spread, gap, ratio = (
        interval(float(value[0]), samples) for value, samples in zip(values, draws, strict=True)
    )
    return spread, gap, ratio


def spread_and_gap(sheet: Sheet, codec: str, quality: int) -> Section:
    """Whether it matters which caption of a picture is told, beside telling a wrong one."""
    found = [_spread_and_gap(sheet, codec, quality, measure) for measure in MEASURES]
    spreads, gaps, ratios = zip(*found, strict=True)
    rows = (
        TableRow("spread of the captions' means", tuple(spreads)),
        TableRow("gap to a wrong caption", tuple(gaps)),
        TableRow("spread / gap", tuple(ratios)),
    )
    return Section(
        title=f"{codec}, level {quality}, spread and gap, {sheet.feed} ({len(sheet.ids)} pictures)",
        first="",
        columns=tuple(Column(m.label, 4) for m in MEASURES),
        rows=rows,
        note="A spread cannot be under 0, and its interval leans upwards.",
    )


def _kept(
    sheet: Sheet, off: tuple[Condition, Condition], on: tuple[Condition, Condition], m: Measure
) -> Interval:
    """Share of the matched gain that stays with the guard on."""
    table = finite(sheet.gain(*on, m), sheet.gain(*off, m))
    if not len(table):
        return Interval(math.nan, None, None)

    def share(means: Values) -> Values:
        return _ratio(means[:, 0], means[:, 1])

    value = float(share(table.mean(axis=0, keepdims=True))[0])
    return interval(value, share(resampled_means(table)))


def guarded(sheet: Sheet, unguarded: str, guarded_: str, quality: int) -> Section:
    """What the guard costs with true captions, and what it saves with wrong ones."""
    rows: list[TableRow] = []
    pairs: list[tuple[Condition, Condition]] = []
    for codec in (unguarded, guarded_):
        none, own, wrong, generic = (
            Condition(codec, quality, text)
            for text in (TextMode.NONE, TextMode.MATCHED, TextMode.MISMATCHED, TextMode.GENERIC)
        )
        pairs.append((own, none))
        for name, told, rival in (
            ("own caption over none", own, none),
            ("own caption over a wrong one", own, wrong),
            ("generic caption over none", generic, none),
            ("wrong caption over none", wrong, none),
        ):
            gains = tuple(mean_gain(sheet, told, rival, m) for m in MEASURES)
            rows.append(TableRow(f"{codec}, {name}", gains))
    shares = tuple(_kept(sheet, pairs[0], pairs[1], m) for m in MEASURES)
    rows.append(TableRow("share of the own caption's gain kept", shares))
    return Section(
        title=f"Guard off and on, level {quality}, {sheet.feed} ({len(sheet.ids)} pictures)",
        first="",
        columns=SIGNED,
        rows=tuple(rows),
        note="Over 0: better than the same decoder without text.",
    )
