"""A painter on a frozen stream: a flow from poor references to pictures, told what is in them.

See :mod:`training.flow_run`. The tables that the words of its streams are coded with are counted from the
same captions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from shared.bundle import Bundle, Manifest, read_bundle, save_bundle
from shared.codecs.loading import bundle_folder, load_parts
from shared.codecs.parts import DECODER, ENCODER
from shared.networks.flow import Flow
from shared.networks.precision import default_device
from shared.systems.catalogue import TextPlacement, system
from shared.systems.misc import STREAM, WORDS, Size, model_id_of
from training.captioned import CaptionedPictures, captioned_rows
from training.data import matching
from training.examples import CaptionedExamples
from training.flow_data import LatentPairs
from training.flow_run import FlowRun, FlowSource
from training.phrases import count
from training.recipe import Places, Recipe, provenance
from training.run import Run

__all__ = ["FlowRecipe"]

ShareName = Literal["features", "embedding", "caption", "grid"]


class FlowRecipe(Recipe["Data"]):
    """Settings of a painter's run (``sidewire train``)."""

    system: str = Field("misc", description="row of the catalogue")
    start: str = Field(
        "",
        description="shipped system whose painter the run goes on from; its words' tables stay",
    )
    size: Size = Size()
    references: tuple[int, ...] = Field(
        (8, 9, 10, 11, 12), description="levels of base that references are of"
    )
    text_encoder: str = "minilm"
    text_dropout: float = Field(0.15, ge=0, lt=1, description="share of pictures without words")
    train: str = Field(description="glob of captioned Parquet files below the data folder")
    validation: str
    held_out: int = Field(400, ge=0, description="last pictures that no step sees")
    batch: int = Field(16, ge=1, description="pictures a step of the flow alone")
    picture_batch: int = Field(8, ge=2, description="pictures a step with the terms on pictures")
    steps: int = Field(ge=1, description="of the flow alone")
    picture_steps: int = Field(0, ge=0)
    learning_rate: float = Field(5e-4, gt=0)
    warmup_steps: int = Field(100, ge=0)
    decay_fraction: float = Field(0.6, ge=0, le=1, description="the last part falls to zero")
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.995, ge=0, lt=1, description="decay of the weights' moving average")
    features: str = Field("features", description="shipped matcher whose maps measure distance")
    shares: dict[ShareName, float] = Field(
        {"features": 1.0, "embedding": 0.4, "caption": 2.0},
        description="weights of the terms on pictures, in units of what references have",
    )

    @property
    def canvas(self) -> int:
        """The level whose latents are painted in."""
        return self.size.canvas

    def load(self, places: Places) -> Data:
        """See :meth:`Recipe.load`."""
        return Data(self, places)

    def begin(self, data: Data) -> FlowRun:
        """See :meth:`Recipe.begin`."""
        torch.manual_seed(self.seed)
        flow = Flow(self.size.flow)
        if data.start is not None:
            flow.load_state_dict(data.start.section("flow"))
        return FlowRun(self, data.parts, flow, data.training)

    def watch(self, run: Run[Any], data: Data) -> str:
        """See :meth:`Recipe.watch`."""
        assert isinstance(run, FlowRun)
        return run.watched(data.validation)

    def export(self, run: Run[Any], data: Data, places: Places) -> str:
        """See :meth:`Recipe.export`."""
        assert isinstance(run, FlowRun)
        painter = run.average.module.state_dict()
        tensors = {f"flow.{name}": value.detach().cpu().float() for name, value in painter.items()}
        tensors |= {f"{WORDS}.{name}": value for name, value in data.tables().items()}
        manifest = Manifest(
            codec=self.system,
            text=TextPlacement.ENCODER,
            text_encoder=self.text_encoder,
            size=self.size.model_dump(mode="json"),
            model_id="",
            provenance=provenance(self, run, data.training.captioned.digest),
        )
        named = {"model_id": model_id_of(Bundle(manifest, tensors))}
        saved = save_bundle(
            places.bundle, manifest.model_copy(update=named), tensors, exact=(WORDS,)
        )
        return f"painter {saved.tensors_sha256[:16]}"


class Data:
    """Training and validation data beside the frozen stream; the latter is made when first asked for."""

    def __init__(self, recipe: FlowRecipe, places: Places) -> None:
        self._recipe, self._places = recipe, places
        self.start = read_bundle(bundle_folder(system(recipe.start))) if recipe.start else None
        bundle = read_bundle(bundle_folder(system(STREAM)))
        assert isinstance(bundle.manifest, Manifest)
        self.model_id = bundle.manifest.model_id
        self.device = default_device()
        self.parts = load_parts(bundle, ENCODER, DECODER).requires_grad_(False).to(self.device)
        self.parts.latent.ready(self.device, torch.float32)
        self.training = self._source(recipe.train, recipe.held_out)

    def tables(self) -> Mapping[str, Tensor]:
        """What words are coded with: counted here, or what the start has, whose streams stay readable."""
        return count(self._captions) if self.start is None else self.start.section(WORDS)

    @property
    def _captions(self) -> Iterator[str]:
        """All that was said of the training pictures that steps see."""
        paths = matching(self._places.data, self._recipe.train)
        said = [row["captions"] for path in paths for row in captioned_rows(path)]
        for captions in said[: len(said) - self._recipe.held_out]:
            yield from captions

    @cached_property
    def validation(self) -> FlowSource:
        """What a run is watched on."""
        return self._source(self._recipe.validation, 0)

    def _source(self, pattern: str, held_out: int) -> FlowSource:
        recipe, places = self._recipe, self._places
        pictures = CaptionedPictures.load(
            places.data, pattern, places.cache, recipe.text_encoder, places.workers, words=True
        )
        pairs = LatentPairs.load(
            pictures, self.parts, self.model_id, recipe.canvas, recipe.references, places.cache
        )
        examples = CaptionedExamples(pictures, held_out, recipe.text_dropout, self.device)
        return FlowSource(examples, pairs)
