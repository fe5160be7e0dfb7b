"""Kinds of recipes, by the ``kind`` of a configuration."""

from __future__ import annotations

from typing import Any

from training.recipe import Recipe
from training.recipes.describer import DescriberRecipe
from training.recipes.flow import FlowRecipe
from training.recipes.generator import GeneratorRecipe
from training.recipes.matcher import MatcherRecipe
from training.recipes.peer import PeerRecipe
from training.recipes.rate_distortion import RateDistortion

__all__ = ["KINDS"]

KINDS: dict[str, type[Recipe[Any]]] = {
    "rate-distortion": RateDistortion,
    "generator": GeneratorRecipe,
    "flow": FlowRecipe,
    "matcher": MatcherRecipe,
    "peer": PeerRecipe,
    "describer": DescriberRecipe,
}
