"""The evidence of ``selic`` and ``taco``, whose words are at the encoder: the papers' ablations.

Each codec is held against its twin at equal bits, level by level, and over all levels by the bits that it
saves. What decodes is the same in all but the ``joint`` variants: ``base``.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.progress import Progress

from cluster.compare.gains import compared
from cluster.compare.records import Pair, Question
from cluster.compare.tables import by_level, saved_bits
from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.evaluation.texts import TextMode
from cluster.reproduce.evidence import Evidence, Request, feeds, rows_of
from cluster.reproduce.tables import Section
from cluster.reproduce.variants import Variant, entries_of
from shared.errors import SidewireError
from shared.systems.catalogue import TextPlacement

__all__ = ["EVIDENCE", "SELIC_FUSIONS", "SELIC_SEMANTICS", "TACO_PARTS", "against_twin"]

SELIC = Variant("selic", "selic", ships_as="selic")
SELIC_NONE = Variant("selic-none", "selic-none", ships_as="selic-none")
TACO = Variant("taco", "taco", ships_as="taco")
TACO_NONE = Variant("taco-none", "taco-none", ships_as="taco-none")


def _fusion(name: str) -> Variant:
    return Variant(f"selic-{name}", "selic", {"size": {"fusion": name}})


#: Table II of SELIC; the twin comes last.
SELIC_FUSIONS = (SELIC, _fusion("addition"), _fusion("multiplication"), SELIC_NONE)
#: Fig. 4 of SELIC, and the recipe in which everything learns.
SELIC_SEMANTICS = (SELIC, Variant("selic-joint", "selic-joint"), SELIC_NONE)
#: The ablation of TACO: the loss without its image-text parts, and the adapter told nothing.
TACO_PARTS = (
    TACO,
    Variant("taco-no-joint-loss", "taco", {"shares": {"features": 1.0}, "start": ""}),
    TACO_NONE,
)


def _pairs(entries: Sequence[CodecEntry], anchor: str, texts: Sequence[TextMode]) -> list[Pair]:
    """Every codec, told each of the texts that it can be, against the anchor."""
    pairs = []
    for entry in entries:
        place = open_codec(entry).text
        told = texts if place is not TextPlacement.NOWHERE else [TextMode.NONE]
        pairs += [
            Pair(Question.TWIN, entry.label, place.value, text, anchor, TextMode.NONE)
            for text in told
        ]
    return pairs


def against_twin(
    request: Request,
    progress: Progress,
    variants: Sequence[Variant],
    texts: Sequence[TextMode] = (TextMode.MATCHED,),
) -> list[Section]:
    """Every variant against the last one, its twin, on every feed.

    Raises:
        SidewireError: nothing but the twin is there.
    """
    entries = entries_of(variants, request.data, request.variants, train=request.train)
    if len(entries) < 2 or entries[-1].label != variants[-1].name:
        raise SidewireError(f"{request.evidence}: its models are not there; --train makes them")
    *others, twin = entries
    levels = {
        entry: tuple(
            q for q in open_codec(entry).qualities if request.levels == "all" or q in request.levels
        )
        for entry in entries
    }
    sections = []
    for feed in feeds(request).items():
        modes = dict.fromkeys((*texts, TextMode.NONE))
        rows = rows_of(request, feed, levels, tuple(modes), progress)
        gains, saved = compared(_pairs(others, twin.label, texts), rows)
        pictures = len({row.id for row in rows})
        for section in (saved_bits(saved), *by_level(gains)):
            if section is not None:
                sections.append(section.titled(f"{section.title}; {feed[0]}, {pictures} pictures"))
    return sections


def selic_fusion(request: Request, progress: Progress) -> list[Section]:
    """Table II of SELIC: three ways to join sentence and latent."""
    return against_twin(request, progress, SELIC_FUSIONS)


def selic_semantics(request: Request, progress: Progress) -> list[Section]:
    """Fig. 4 of SELIC: with the sentence and without, with a wrong one and none; frozen and joint."""
    texts = (TextMode.MATCHED, TextMode.MISMATCHED, TextMode.NONE)
    return against_twin(request, progress, SELIC_SEMANTICS, texts)


def taco_ablation(request: Request, progress: Progress) -> list[Section]:
    """TACO's ablation: without the adapter's words, and without the joint image-text loss."""
    texts = (TextMode.MATCHED, TextMode.MISMATCHED, TextMode.NONE)
    return against_twin(request, progress, TACO_PARTS, texts)


EVIDENCE: dict[str, Evidence] = {
    "selic-fusion": selic_fusion,
    "selic-semantics": selic_semantics,
    "taco-ablation": taco_ablation,
}
