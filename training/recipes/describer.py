"""A describer: captions of a folder's pictures, word by word, over what a frozen matcher sees of them.

Vinyals et al., "Show and Tell" (2015), with a transformer as the decoder. The matcher is a shipped one, and
not the one that judges.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pydantic import Field

from shared.bundle import DescriberManifest, shipped_bundle
from shared.describer_bundle import save_describer
from shared.matcher_bundle import load_matcher
from shared.networks.describer import UNKNOWN, DescriberSize
from training.described import Captioned, Described, vocabulary_of
from training.describing import Describing, DescribingSettings
from training.lexicon import nouns_of
from training.recipe import Places, Recipe, provenance
from training.run import Run
from training.said import nats_a_word, said_of

__all__ = ["DescriberRecipe"]


class DescriberRecipe(DescribingSettings, Recipe["Data"]):
    """Settings of a describer's run.

    Attributes:
        matcher: the shipped bundle that it sees by.
        least_times: that a word stands in the captions before it is said.
        size: of the network, without what follows from matcher and captions.
    """

    train: str
    validation: str
    matcher: str = "features"
    text_encoder: str = Field("minilm", description="measures what is said, and nothing else")
    watched: int = Field(100, ge=2, description="held out pictures that it is measured on")
    least_times: int = Field(5, ge=1)
    size: dict[str, int] = Field(default_factory=dict)
    seed: int = Field(description="of all that is drawn")

    def load(self, places: Places) -> Data:
        """See :meth:`Recipe.load`."""
        return Data(self, places)

    def begin(self, data: Data) -> Describing:
        """See :meth:`Recipe.begin`."""
        return Describing(self, data.size, data.training)

    def watch(self, run: Run[Any], data: Data) -> str:
        """See :meth:`Recipe.watch`."""
        assert isinstance(run, Describing)
        return f"nats {nats_a_word(run.model, data.validation):.3f}"

    def export(self, run: Run[Any], data: Data, places: Places) -> str:
        """See :meth:`Recipe.export`."""
        assert isinstance(run, Describing)
        found = said_of(
            run.model, data.validation, data.held_out.captions, data.vocabulary, self.text_encoder
        )
        manifest = DescriberManifest(
            codec=self.name,
            size=data.size,
            matcher=data.matcher_hash,
            provenance=provenance(self, run, data.captioned.digest, described=found),
        )
        captions = [one for own in data.captioned.captions for one in own]
        saved = save_describer(
            places.bundle, manifest, run.model.state_dict(), data.vocabulary, nouns_of(captions)
        )
        return f"describer {saved.tensors_sha256[:16]}, overlap {found.overlap:.3f}"


class Data:
    """Training and validation data; the latter is read when it is first asked for."""

    def __init__(self, recipe: DescriberRecipe, places: Places) -> None:
        self._recipe, self._places = recipe, places
        self._matcher, manifest = load_matcher(shipped_bundle(recipe.matcher))
        self.matcher_hash = manifest.tensors_sha256
        self.captioned = self._read(recipe.train)
        captions = [one for own in self.captioned.captions for one in own]
        self.vocabulary = vocabulary_of(captions, recipe.least_times)
        self.size = DescriberSize(
            words=UNKNOWN + 1 + len(self.vocabulary),
            channels=sum(self._matcher.size.widths[-2:]),
            dim=self._matcher.size.dim,
            **recipe.size,
        )
        self.training = self._seen(self.captioned)

    @cached_property
    def held_out(self) -> Captioned:
        """What a describer is measured on, as it is read."""
        return self._read(self._recipe.validation, self._recipe.watched)

    @cached_property
    def validation(self) -> Described:
        """The same as it is seen."""
        return self._seen(self.held_out)

    def _read(self, pattern: str, most: int | None = None) -> Captioned:
        side, places = self._matcher.size.side, self._places
        return Captioned.load(places.data, pattern, side, places.workers, most)

    def _seen(self, captioned: Captioned) -> Described:
        return Described.of(captioned, self._matcher, self.vocabulary, self.size.longest)
