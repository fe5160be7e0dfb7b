"""``sidewire train``: a configuration says what kind of recipe it is, and this starts it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from shared.errors import SidewireError
from training.recipe import Places, Recipe
from training.recipes import KINDS

__all__ = ["Host", "Places", "alone", "read_recipe", "read_settings", "train_command"]

#: What carries a recipe out, and says what came of it in one line.
Host = Callable[[Recipe[Any], Places], str]


def read_settings(config: Path) -> dict[str, Any]:
    """The settings of a YAML file: those of the file beside it that it is ``like``, and its own over them.

    Raises:
        SidewireError: it cannot be read, or is like one that is like another; the message names it.
    """
    own = _listed(config)
    like = own.pop("like", None)
    if like is None:
        return own
    others = _listed(config.parent / str(like))
    if "like" in others:
        raise SidewireError(f"{config}: like: {like} must say all of its settings itself")
    return others | own


def _listed(config: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(config.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SidewireError(f"cannot read {config}: {error}") from None
    if not isinstance(settings, dict):
        raise SidewireError(f"{config}: not a list of settings")
    return settings


def read_recipe(config: Path) -> Recipe[Any]:
    """The recipe of a YAML file, see :func:`read_settings`.

    Raises:
        SidewireError: it cannot be read, or a setting is wrong, unknown or missing; the message names it.
    """
    settings = read_settings(config)
    kind = settings.pop("kind", "rate-distortion")
    if kind not in KINDS:
        raise SidewireError(f"{config}: kind is {kind!r}, known are {', '.join(KINDS)}")
    try:
        return KINDS[kind].model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise SidewireError(f"{config}: {field}: {first['msg']}") from None


def alone(recipe: Recipe[Any], places: Places) -> str:
    """Carry a recipe out in this process."""
    return recipe.carry_out(places)


def train_command(config: Path, places: Places, host: Host = alone) -> None:
    """What ``sidewire train`` does.

    Raises:
        SidewireError: the configuration, the data or a checkpoint cannot be used.
    """
    recipe = read_recipe(config)
    try:
        made = host(recipe, places)
    except FileNotFoundError as error:
        raise SidewireError(str(error)) from None
    print(f"{places.bundle}: {made}")
