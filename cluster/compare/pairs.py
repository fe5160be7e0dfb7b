"""Which codecs and texts are held against which, read from the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.compare.choice import BASE
from cluster.compare.records import NotMeasured, Pair, Question
from cluster.evaluation.texts import TextMode
from shared.systems.catalogue import TextPlacement, systems

__all__ = ["MODES", "pairs_of", "placement_of"]

#: What codecs that read captions are told.
MODES = (TextMode.NONE, TextMode.MATCHED, TextMode.MISMATCHED)


def placement_of(codec: str) -> TextPlacement:
    """Who reads the caption; nobody, for a format."""
    row = systems().get(codec)
    return TextPlacement.NOWHERE if row is None else row.text


def pairs_of(codecs: Sequence[str]) -> tuple[list[Pair], list[NotMeasured]]:
    """Every comparison of the codecs that were measured, and those that lack one."""
    pairs: list[Pair] = []
    missing: list[NotMeasured] = []
    for codec in codecs:
        place = placement_of(codec)
        told = place is not TextPlacement.NOWHERE
        best = TextMode.MATCHED if told else TextMode.NONE
        wanted: list[tuple[Question, TextMode, str]] = []
        if told:
            wanted += [
                (Question.OWN, TextMode.MATCHED, codec),
                (Question.WRONG, TextMode.MISMATCHED, codec),
            ]
        twin = systems()[codec].twin if codec in systems() else ""
        if twin:
            wanted.append((Question.TWIN, best, twin))
        if codec != BASE:
            wanted.append((Question.BASE, best, BASE))
        for question, text, anchor in wanted:
            if anchor in codecs:
                pair = Pair(question, codec, place.value, text, anchor, TextMode.NONE)
                pairs.append(pair)
            else:
                missing.append(NotMeasured(f"{codec} over {anchor}", f"{anchor} was not measured"))
    return pairs, missing
