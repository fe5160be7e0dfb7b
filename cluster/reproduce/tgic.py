"""The evidence of ``tgic``, told at both ends: what its parts, its ends and its loss's terms are worth."""

from __future__ import annotations

from rich.progress import Progress

from cluster.evaluation.texts import TextMode
from cluster.reproduce.encoders import against_twin
from cluster.reproduce.evidence import Evidence, Request
from cluster.reproduce.tables import Section
from cluster.reproduce.variants import Variant

__all__ = ["EVIDENCE", "TGIC_IRC", "TGIC_LOSSES"]

TGIC = Variant("tgic", "tgic", ships_as="tgic")
TGIC_NONE = Variant("tgic-none", "tgic-none", ships_as="tgic-none")
#: Steps of both phases, where there is no adversary.
STEPS = 1000

#: An ITA in each IRC's place, and the words at one end alone; the twin comes last.
TGIC_IRC = (
    TGIC,
    Variant("tgic-no-irc", "tgic", {"size": {"irc": False}}),
    Variant("tgic-encoder", "tgic", {"told": "encoder"}),
    Variant("tgic-decoder", "tgic", {"told": "decoder"}),
    TGIC_NONE,
)
#: The loss without L_M, without the adversary, and with neither these nor a perceptual term.
TGIC_LOSSES = (
    TGIC,
    Variant("tgic-no-semantic", "tgic", {"shares": {"features": 1.0}}),
    Variant("tgic-no-adversary", "tgic", {"steps": STEPS, "adversarial_steps": 0}),
    Variant("tgic-squared", "tgic", {"steps": STEPS, "adversarial_steps": 0, "shares": {}}),
    TGIC_NONE,
)
TEXTS = (TextMode.MATCHED, TextMode.MISMATCHED, TextMode.NONE)


def tgic_irc(request: Request, progress: Progress) -> list[Section]:
    """What requests are worth beside attention, and each end beside both."""
    return against_twin(request, progress, TGIC_IRC, TEXTS)


def tgic_losses(request: Request, progress: Progress) -> list[Section]:
    """What each term of the loss is worth."""
    return against_twin(request, progress, TGIC_LOSSES, TEXTS)


EVIDENCE: dict[str, Evidence] = {
    "tgic-irc": tgic_irc,
    "tgic-losses": tgic_losses,
}
