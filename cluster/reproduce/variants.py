"""Models that evidence is made of: a shipped recipe with some settings changed.

Those that ship are taken as they are; the others are trained when asked for, each into a sub-folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from cluster.evaluation.entries import CodecEntry
from shared.bundle import MANIFEST_NAME
from shared.errors import SidewireError
from training.command import read_settings
from training.recipe import Places, Recipe
from training.recipes import KINDS

__all__ = ["Variant", "configured", "entries_of", "entry_of", "train_variant"]


@dataclass(frozen=True)
class Variant:
    """One model.

    Attributes:
        name: in tables, and of its sub-folder.
        config: of ``training/configs``, without its ending.
        changes: to the settings there.
        ships_as: registered codec, for one that ships.
    """

    name: str
    config: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    ships_as: str = ""


def configured(variant: Variant) -> Recipe[Any]:
    """The recipe with the variant's settings."""
    settings = read_settings(
        Path(str(resources.files("training.configs"))) / f"{variant.config}.yaml"
    )
    return KINDS[settings.pop("kind")].model_validate(settings | dict(variant.changes))


def entry_of(variant: Variant, folder: Path) -> CodecEntry | None:
    """The variant as it is measured: its bundle below ``folder``, or the one that ships.

    Without a guard, which is no part of what is compared.

    Returns:
        None where it was never trained.
    """
    own = folder / variant.name
    codec = variant.ships_as or variant.config
    if (own / MANIFEST_NAME).exists():
        return CodecEntry(variant.name, codec, bundle=own, guard=False)
    return CodecEntry(variant.name, codec, guard=False) if variant.ships_as else None


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


def entries_of(
    variants: Iterable[Variant], data: Path, folder: Path, *, train: bool
) -> list[CodecEntry]:
    """Those of the variants that are there, as they are measured.

    Args:
        train: train those first that are not.

    Raises:
        SidewireError: there is no training data.
    """
    found = []
    for variant in variants:
        if train and entry_of(variant, folder) is None:
            train_variant(variant, data, folder)
        entry = entry_of(variant, folder)
        if entry is not None:
            found.append(entry)
    return found
