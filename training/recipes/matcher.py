"""A picture-to-sentence matcher: pictures and captions of one folder, contrastively.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021), against frozen
sentence vectors. Three are trained: ``features``, whose maps stand in the generator's loss, ``judge``, which
only measures, and ``semantics``, a transformer that TGIC's loss asks what pictures mean. They differ in seed,
size and weights; data and text space are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from shared.bundle import MatcherManifest, Retrieval
from shared.matcher_bundle import AnyMatcher, save_matcher
from shared.pictures import LUMA_WEIGHTS
from training.captioned import CaptionedPictures
from training.contrast import Contrast, ContrastSettings, squares
from training.recipe import Places, Recipe, provenance
from training.run import Run

__all__ = ["MatcherRecipe", "retrieval"]

#: Pictures squashed at a time.
CHUNK = 256


class MatcherRecipe(ContrastSettings, Recipe["Data"]):
    """Settings of a matcher's run."""

    train: str
    validation: str
    text_encoder: str = "minilm"
    seed: int = Field(description="of all that is drawn")

    def load(self, places: Places) -> Data:
        """See :meth:`Recipe.load`."""
        return Data(self, places)

    def begin(self, data: Data) -> Contrast:
        """See :meth:`Recipe.begin`."""
        return Contrast(self, data.training.squares[None], data.training.sentences)

    def watch(self, run: Run[Any], data: Data) -> str:
        """See :meth:`Recipe.watch`."""
        now = self._retrieval(run, data)
        return f"R@10 {now.r10:.3f} grey {now.r10_grey:.3f}"

    def export(self, run: Run[Any], data: Data, places: Places) -> str:
        """See :meth:`Recipe.export`."""
        assert isinstance(run, Contrast)
        found = self._retrieval(run, data)
        manifest = MatcherManifest(
            codec=self.name,
            size=self.size,
            text_encoder=self.text_encoder,
            provenance=provenance(self, run, data.training.digest, retrieval=found),
        )
        saved = save_matcher(places.bundle, manifest, run.model.state_dict())
        return f"matcher {saved.tensors_sha256[:16]}"

    def _retrieval(self, run: Run[Any], data: Data) -> Retrieval:
        assert isinstance(run, Contrast)
        return retrieval(run.model, data.validation.squares, data.validation.sentences)


@dataclass(frozen=True)
class Matched:
    """Squashed pictures (N, 3, side, side) uint8 and their sentence vectors (N, 5, D)."""

    squares: Tensor
    sentences: Tensor
    digest: str


class Data:
    """Training and validation data; the latter is read when it is first asked for."""

    def __init__(self, recipe: MatcherRecipe, places: Places) -> None:
        self._recipe, self._places = recipe, places
        self.training = self._load(recipe.train)

    @cached_property
    def validation(self) -> Matched:
        """What a matcher is measured on."""
        return self._load(self._recipe.validation)

    def _load(self, pattern: str) -> Matched:
        recipe, places = self._recipe, self._places
        held = CaptionedPictures.load(
            places.data, pattern, places.cache, recipe.text_encoder, places.workers
        )
        pictures = torch.from_numpy(held.pictures).permute(0, 3, 1, 2)
        starts = range(0, len(pictures), CHUNK)
        small = torch.cat([squares(pictures[i : i + CHUNK], recipe.size.side) for i in starts])
        return Matched(small, torch.from_numpy(held.vectors), held.digest)


@torch.no_grad()
def retrieval(model: AnyMatcher, pictures: Tensor, sentences: Tensor) -> Retrieval:
    """How often a picture is found by a caption, and how the cosine falls when it is made grey.

    Args:
        model: the matcher.
        pictures: (N, 3, side, side) uint8.
        sentences: (N, 5, D) float vectors.
    """
    model.eval()
    x = pictures.float().div(255)
    luma = (x * torch.tensor(LUMA_WEIGHTS)[:, None, None]).sum(1, keepdim=True).expand_as(x)
    colour, grey = _vectors(model, x), _vectors(model, luma)
    words = F.normalize(sentences.float(), dim=2)
    own = torch.arange(len(x))

    def recall(vectors: Tensor, k: int) -> float:
        scores = torch.einsum("nkd,md->nkm", words, vectors)
        better = (scores > scores[own, :, own][:, :, None]).sum(2)
        return float((better < k).float().mean())

    def cosine(vectors: Tensor) -> float:
        return float((vectors[:, None] * words).sum(2).mean())

    return Retrieval(
        pictures=len(x),
        r1=round(recall(colour, 1), 4),
        r5=round(recall(colour, 5), 4),
        r10=round(recall(colour, 10), 4),
        r10_grey=round(recall(grey, 10), 4),
        cosine=round(cosine(colour), 4),
        cosine_grey=round(cosine(grey), 4),
        cosine_mismatched=round(cosine(colour.roll(1, 0)), 4),
    )


def _vectors(model: AnyMatcher, x: Tensor) -> Tensor:
    return torch.cat([model(x[start : start + 64]) for start in range(0, len(x), 64)])
