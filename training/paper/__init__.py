"""The systems at the papers' sizes, by name: built, counted and stepped in tests, trained on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.errors import UnknownCodecError
from training.discriminator import DiscriminatorSize, paper_discriminator
from training.paper.cheng import ChengSize, cheng_system
from training.paper.hific import HificSize, hific_system
from training.paper.system import PaperSystem

__all__ = ["PAPER_SYSTEMS", "PaperRecipe", "paper_recipe"]


@dataclass(frozen=True)
class PaperRecipe:
    """What it takes to train one: the networks, and the discriminator that goes with them."""

    build: Callable[[], PaperSystem]
    discriminator: DiscriminatorSize


PAPER_SYSTEMS = {
    "ssa-hific": PaperRecipe(hific_system, paper_discriminator(HificSize().latent)),
    "ssa-cheng": PaperRecipe(cheng_system, paper_discriminator(ChengSize().channels)),
}


def paper_recipe(name: str) -> PaperRecipe:
    """The system of that name.

    Raises:
        UnknownCodecError: there is none.
    """
    if name not in PAPER_SYSTEMS:
        known = ", ".join(PAPER_SYSTEMS)
        raise UnknownCodecError(f"no paper-size system {name!r}; there are {known}")
    return PAPER_SYSTEMS[name]
