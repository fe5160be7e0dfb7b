"""The models of the ablation: one architecture, one stream, other parts of the text each.

| variant | generator reads | discriminator reads |
| --- | --- | --- |
| full | the caption | the caption |
| no-d-text | the caption | nothing |
| no-g-text | nothing | the caption |
| no-text | nothing | nothing |

``full`` and ``no-text`` ship as ``ssa`` and ``none``; the others are trained when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

from cluster.evaluation.entries import CodecEntry
from shared.bundle import MANIFEST_NAME
from shared.errors import SidewireError
from training.recipe import Places
from training.recipes.generator import GeneratorRecipe

__all__ = ["FULL", "NO_TEXT", "VARIANTS", "Variant", "configured", "entry_of", "train_variant"]


@dataclass(frozen=True)
class Variant:
    """One model of the ablation.

    Attributes:
        ships_as: registered codec, for the two that ship.
    """

    name: str
    generator_text: bool
    discriminator_text: bool
    ships_as: str = ""


FULL = Variant("full", True, True, "ssa")
NO_TEXT = Variant("no-text", False, False, "none")
VARIANTS = (
    Variant("no-d-text", True, False),
    Variant("no-g-text", False, True),
    NO_TEXT,
)


def entry_of(variant: Variant, folder: Path) -> CodecEntry | None:
    """The variant as it is measured: its bundle below ``folder``, or the one that ships.

    Without a guard, which is no part of what is compared here.

    Returns:
        None where it was never trained.
    """
    own = folder / variant.name
    if (own / MANIFEST_NAME).exists():
        return CodecEntry(variant.name, variant.ships_as or "ssa", bundle=own, guard=False)
    return CodecEntry(variant.name, variant.ships_as, guard=False) if variant.ships_as else None


def configured(variant: Variant) -> GeneratorRecipe:
    """The shipped generator's settings with the variant's text switched off."""
    settings = yaml.safe_load(resources.files("training.configs").joinpath("ssa.yaml").read_text())
    settings.pop("kind", None)
    settings |= {
        "name": variant.ships_as or "ssa",
        "generator_text": variant.generator_text,
        "discriminator_text": variant.discriminator_text,
        "guard": None,
    }
    return GeneratorRecipe.model_validate(settings)


def train_variant(variant: Variant, data: Path, folder: Path) -> None:
    """Train into ``folder/NAME``, continuing from the checkpoint in ``folder/NAME-run`` where there is one.

    Raises:
        SidewireError: there is no training data.
    """
    places = Places(data, folder / f"{variant.name}-run", folder / variant.name)
    try:
        configured(variant).carry_out(places)
    except FileNotFoundError as error:
        raise SidewireError(str(error)) from None
