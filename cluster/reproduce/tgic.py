"""The evidence of ``tgic``, told at both ends: what its parts, its ends and its loss's terms are worth."""

from __future__ import annotations

from rich.progress import Progress

from cluster.evaluation.texts import TextMode
from cluster.reproduce.encoders import against_twin
from cluster.reproduce.evidence import Evidence, Request
from cluster.reproduce.tables import Section
from cluster.reproduce.variants import Variant

__all__ = ["EVIDENCE", "TGIC_IRC", "TGIC_LOSSES"]

#: Steps of both phases.
STEPS = 1000
#: All begin as base and take as many steps, as one core can; what ships has gone on from there.
BEGUN = {
    "start": "",
    "start_share": 0.0,
    "batch": 1,
    "copy_batch": 1,
    "steps": 700,
    "adversarial_steps": STEPS - 700,
    "learning_rate": 3e-4,
}
#: Without the adversary.
ALONE = {"steps": STEPS, "adversarial_steps": 0}


def _begun(name: str, **changes: object) -> Variant:
    return Variant(f"tgic-{name}", "tgic", BEGUN | changes)


WHOLE = _begun("begun")
TWIN = Variant("tgic-none-begun", "tgic-none", BEGUN)
#: An ITA in each IRC's place, and the words at one end alone; the twin comes last.
TGIC_IRC = (
    WHOLE,
    _begun("no-irc", size={"irc": False}),
    _begun("encoder", told="encoder"),
    _begun("decoder", told="decoder"),
    TWIN,
)
#: The loss without L_M, without the adversary, and with neither these nor a perceptual term.
TGIC_LOSSES = (
    WHOLE,
    _begun("no-semantic", shares={"features": 1.0}),
    _begun("no-adversary", **ALONE),
    _begun("squared", **ALONE, shares={}),
    TWIN,
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
