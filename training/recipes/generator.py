"""The ``frozen`` recipe: a generator learns on a stream that stands, and may be told the captions.

Qin et al. (2024), section 3.3: ``k_M * MSE + k_P * d + beta * L_adv``. The rate terms are constant here, as
encoder and entropy model stand still, and G begins as the stream's own synthesis: so D learns by itself
first, then all of it at once. Two terms stand beside the paper's: what viewers would say (a differentiable
SSIMULACRA2), and how well a picture shows its own caption among others. All are shares of what the
stream's own pictures have at a level. Pictures of other scales, without captions, are among the captioned
ones: what has learnt from small pictures alone invents texture in large ones. The twin is the same run
with ``generator_text`` and ``discriminator_text`` off: same size, same steps, same pictures.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import Any

from pydantic import Field

from shared.bundle import Manifest, save_bundle
from shared.networks.precision import default_device
from shared.networks.transforms import Z_STRIDE
from shared.systems.catalogue import TextPlacement, system
from training.captioned import CaptionedPictures
from training.critics import CriticName
from training.data import PictureStore, Zoom
from training.examples import CaptionedExamples, Crops
from training.fresh import stream_model_id
from training.generator_run import GeneratorRun, Sources
from training.guard import GuardConfig, train_guard
from training.recipe import Places, Recipe, levels_line, provenance
from training.run import Run

__all__ = ["GeneratorRecipe"]

#: Of the validation set, in a log row.
VALIDATION_PICTURES = 96


class GeneratorRecipe(Recipe["Data"]):
    """Settings of a generator's run on a frozen stream (``sidewire train``)."""

    system: str = Field("ssa", description="row of the catalogue")
    size: dict[str, Any] = Field(default_factory=dict, description="of the system's networks")
    text_encoder: str = "minilm"
    generator_text: bool = Field(True, description="G reads the captions; otherwise always zero")
    discriminator_text: bool = Field(True, description="D reads them; otherwise always zero")
    text_dropout: float = Field(0.15, ge=0, lt=1, description="share of pictures without words")
    guard: GuardConfig | None = Field(
        GuardConfig(), description="against wrong captions, trained at the end of G that reads them"
    )

    train: str = Field(description="glob of captioned Parquet files below the data folder")
    others: str = Field("", description="glob of pictures without captions, for other scales")
    others_share: float = Field(0.25, ge=0, lt=1, description="of a batch")
    zoom_share: float = Field(0.4, ge=0, le=1, description="of those, which are enlarged")
    validation: str
    held_out: int = Field(
        400, ge=0, description="last pictures that no step sees: the guard is calibrated on them"
    )
    side: int = Field(224, multiple_of=4, description="of the captioned pictures, in pixels")
    batch: int = Field(6, ge=1, description="pictures a level that codes the picture, and step")
    copy_batch: int = Field(2, ge=1, description="the same of levels that code copies")
    discriminator_steps: int = Field(0, ge=0, description="D alone, before it teaches G")
    adversarial_steps: int = Field(ge=1, description="the whole objective")
    learning_rate: float = Field(3e-4, gt=0)
    discriminator_rate: float = Field(4e-4, gt=0)
    discriminator: CriticName = "small"
    warmup_steps: int = Field(100, ge=0)
    decay_fraction: float = Field(0.5, ge=0, le=1, description="the last part falls to zero")
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.998, ge=0, lt=1, description="decay of the weights' moving average")

    learnt_share: float = Field(0.95, ge=0, le=1, description="of what was learnt, in what ships")
    enlarger_share: float = Field(0.4, ge=0, le=1, description="the same of what enlarges copies")

    distortion_weight: float = Field(1.0, gt=0, description="k_M, of the squared error")
    perceptual_weight: float = Field(1.0, ge=0, description="k_P, of the feature distance")
    viewers_weight: float = Field(1.5, ge=0, description="of what SSIMULACRA2 is made of")
    features: str = Field("features", description="shipped matcher whose maps measure distance")
    adversarial_weight: float = Field(0.4, ge=0, description="beta")
    matching_weight: float = Field(0.15, ge=0, description="of showing the own caption")
    grid_weight: float = Field(0.0, ge=0, description="of patterns that repeat every four pixels")

    def load(self, places: Places) -> Data:
        """See :meth:`Recipe.load`."""
        return Data(self, places)

    def begin(self, data: Data) -> GeneratorRun:
        """See :meth:`Recipe.begin`."""
        return GeneratorRun(self, data.training)

    def watch(self, run: Run[Any], data: Data) -> str:
        """See :meth:`Recipe.watch`."""
        assert isinstance(run, GeneratorRun)
        return levels_line(run.measure(data.validation, VALIDATION_PICTURES), 3)

    def export(self, run: Run[Any], data: Data, places: Places) -> str:
        """See :meth:`Recipe.export`: a guard comes with a generator that reads captions."""
        assert isinstance(run, GeneratorRun)
        size = import_module(system(self.system).module).Size.model_validate(self.size)
        tensors = {f"g_s.{key}": value for key, value in run.result().state_dict().items()}
        if self.guard is not None and self.generator_text:
            guard = train_guard(run, self.guard)
            size = size.model_copy(update={"guard": guard.matcher.size})
            tensors |= {f"guard.{name}": value for name, value in guard.state_dict().items()}
        manifest = Manifest(
            codec=self.name,
            text=TextPlacement.DECODER if self.generator_text else TextPlacement.NOWHERE,
            text_encoder=self.text_encoder if self.generator_text else "",
            size=size.model_dump(mode="json"),
            model_id=stream_model_id(run.parts),
            provenance=provenance(self, run, data.training.captioned.digest),
        )
        tensors = {name: tensor.cpu().float() for name, tensor in tensors.items()}
        saved = save_bundle(places.bundle, manifest, tensors)
        return f"generator {saved.tensors_sha256[:16]} of stream {saved.model_id[:16]}"


class Data:
    """Training and validation data; the latter is made when it is first asked for."""

    def __init__(self, recipe: GeneratorRecipe, places: Places) -> None:
        self._recipe, self._places = recipe, places
        others = None
        if recipe.others:
            widest = 4 * Z_STRIDE  # what levels that code copies of a quarter are padded to
            canvas = -(-recipe.side // widest) * widest
            store = PictureStore.load(
                places.data, [recipe.others], canvas, places.workers, device=default_device()
            )
            others = Crops(store, Zoom(recipe.zoom_share))
        self.training = Sources(self._captioned(recipe.train, recipe.held_out), others)

    @cached_property
    def validation(self) -> CaptionedExamples:
        """What a run is watched on."""
        return self._captioned(self._recipe.validation, 0)

    def _captioned(self, pattern: str, held_out: int) -> CaptionedExamples:
        recipe, places = self._recipe, self._places
        pictures = CaptionedPictures.load(
            places.data,
            pattern,
            places.cache,
            recipe.text_encoder,
            places.workers,
            words=bool(recipe.size.get("token_width")),
        )
        return CaptionedExamples(pictures, held_out, recipe.text_dropout, default_device())
