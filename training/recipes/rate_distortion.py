"""Rate and distortion: analysis, latent codec and synthesis learn, or some of them.

::

    L = mean_i w(q_i) * (lambda(q_i) * 255**2 * MSE_i + R_i / pixels)

Minnen et al. (2018): additive noise where bits are counted, rounding with straight-through gradients where
values are used. A system with an entropy model of its own learns everything; then its scale branch alone
learns the bits of y on the integer grid, while all that shapes y and z stands still. One that begins as a
stream that ships keeps that stream's scale branch and tables, and moves all else. A system on a frozen stream
learns its transforms under the stream's entropy model. Who is told the captions is a setting: a twin
is the same recipe told nothing. What comes of a run may be a mean of the weights that it began as and of
those that it has learnt (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from shared.codecs.loading import empty_parts
from shared.networks.precision import default_device
from shared.systems.catalogue import TextPlacement, system
from training.captioned import CaptionedPictures
from training.critics import CriticName
from training.data import PictureStore, Zoom
from training.examples import CaptionedExamples, Crops, Examples
from training.export import export
from training.rate_distortion_run import RateDistortionRun
from training.recipe import Places, Recipe, levels_line
from training.run import Run
from training.terms.rate_target import RateTarget

__all__ = ["RateDistortion", "lambdas"]

KODAK = Path("test/kodak.parquet")
#: Pictures of the validation set that a log row is measured on.
VALIDATION_PICTURES = 32

PartName = Literal["g_a", "latent", "g_s"]
#: Distances of feature maps and of embeddings to the original's, how little of the caption is shown, and L_M.
ShareName = Literal["features", "embedding", "caption", "semantic"]


def lambdas(lowest: float, highest: float, levels: int) -> Tensor:
    """Geometric ladder of Lagrangian weights on ``255**2 * MSE``, one a quality level."""
    return torch.logspace(math.log10(lowest), math.log10(highest), levels)


class RateDistortion(Recipe["Data"]):
    """Settings of a rate-distortion run (``sidewire train``)."""

    system: str = Field("base", description="row of the catalogue")
    size: dict[str, Any] = Field(default_factory=dict, description="of the system's networks")
    learns: tuple[PartName, ...] = Field(
        ("g_a", "latent", "g_s"), description="parts that learn; on a frozen stream never latent"
    )
    start: str = Field(
        "",
        description="shipped system that the parts begin as; its scale branch and tables stay",
    )
    start_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="of the weights that the parts began as in those that come of the run",
    )
    told: TextPlacement = Field(TextPlacement.NOWHERE, description="which ends hear the captions")
    text_encoder: str = "minilm"
    text_dropout: float = Field(0.15, ge=0, lt=1, description="share of pictures without words")

    lambda_lowest: float = Field(1e-4, gt=0, description="weight of 255^2 MSE at quality 0")
    lambda_highest: float = Field(3e-2, gt=0, description="weight at the highest quality")
    lambdas: list[float] = Field(
        default_factory=list, description="one a quality level, instead of an even ladder"
    )
    level_weight_power: float = Field(
        -0.45, description="levels are weighted by lambda**power: low rates need not drown"
    )

    similarity_weight: float = Field(
        0.0, ge=0, description="of 1000 (1 - MS-SSIM) beside 255^2 MSE, under the same lambda"
    )

    shares: dict[ShareName, float] = Field(
        default_factory=dict,
        description="weights of more terms, in units of the squared error where the run begins",
    )

    train: list[str] = Field(description="globs of Parquet files below the data folder")
    train_shares: list[float] = Field(
        default_factory=list, description="of the draws, a glob each; empty for equal chances"
    )
    validation: str = Field(description="glob of Parquet files below the data folder")
    crop: int = Field(128, multiple_of=64, description="of a system without words")
    copy_crop: int = Field(
        224, multiple_of=4, description="of levels that code copies of 1/2 or 1/4"
    )
    zoom_share: float = Field(0.0, ge=0, le=1, description="of crops that are enlarged")
    held_out: int = Field(0, ge=0, description="last captioned pictures that no step sees")
    batch: int = Field(1, ge=1, description="pictures a quality level and step")
    copy_batch: int = Field(1, ge=1, description="the same of levels that code copies")

    steps: int = Field(ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    part_rates: dict[str, float] = Field(
        default_factory=dict, description="of a part, as a share of the learning rate"
    )
    linear_rate: float = Field(
        0.1, gt=0, description="of the linear paths, as a share of their part's"
    )
    attached_rate: float = Field(
        1.0, gt=0, description="of what reads the words, as a share of its part's"
    )
    warmup_steps: int = Field(200, ge=0)
    decay_fraction: float = Field(0.4, ge=0, le=1, description="the last part falls to zero")
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.998, ge=0, lt=1, description="decay of the weights' moving average")

    target: RateTarget | None = Field(
        None, description="holds the rate at a target instead of the ladder of lambdas"
    )
    distortion_weight: float = Field(0.075 * 2**-5, gt=0, description="k_M beside such a target")
    adversarial_steps: int = Field(
        0, ge=0, description="with D and the perceptual term, at the end"
    )
    features: str = Field("features", description="shipped matcher whose maps measure distance")
    semantics: str = Field("features", description="shipped matcher that is f_I of L_M")
    perceptual_weight: float = Field(1.0, ge=0, description="k_P, of the feature distance")
    adversarial_weight: float = Field(0.15, ge=0, description="beta")
    discriminator: CriticName = "small"
    discriminator_weights: Path | None = Field(
        None, description="safetensors file that resnet50 begins with; random without one"
    )
    discriminator_rate: float = Field(1e-4, gt=0)

    quantised_steps: int = Field(2000, ge=0, description="scale branch alone, on the integer grid")
    quantised_learning_rate: float = Field(3e-4, gt=0)

    @model_validator(mode="after")
    def _shares_what_there_is(self) -> Self:
        if self.start_share and not self.start:
            raise ValueError(f"start_share is {self.start_share:g}, and there is no start to share")
        return self

    def ladder(self, levels: int) -> Tensor:
        """(levels,) Lagrangian weights."""
        if self.lambdas:
            return torch.tensor(self.lambdas)
        return lambdas(self.lambda_lowest, self.lambda_highest, levels)

    def level_weights(self, levels: int) -> Tensor:
        """(levels,) weights of the levels' losses, 1 in the middle of the ladder."""
        ladder = self.ladder(levels)
        return torch.pow(ladder / ladder[levels // 2], self.level_weight_power)

    @property
    def copies(self) -> bool:
        """Some levels code copies of 1/2 or 1/4 of a picture's edges."""
        return any(scale > 1 for scale in self.size.get("scales", ()))

    def load(self, places: Places) -> Data:
        """See :meth:`Recipe.load`."""
        return Data(self, places)

    def begin(self, data: Data) -> RateDistortionRun:
        """See :meth:`Recipe.begin`."""
        return RateDistortionRun(self, data.training)

    def finish(self, run: Run[Any], data: Data) -> None:
        """See :meth:`Recipe.finish`: the integer phase from where the float phase stands."""
        assert isinstance(run, RateDistortionRun)
        run.finish_integers()

    def watch(self, run: Run[Any], data: Data) -> str:
        """See :meth:`Recipe.watch`."""
        assert isinstance(run, RateDistortionRun)
        rates, values = run.measure(data.validation, VALIDATION_PICTURES)
        return levels_line({"bpp": rates, "psnr": values}, 3)

    def export(self, run: Run[Any], data: Data, places: Places) -> str:
        """See :meth:`Recipe.export`."""
        assert isinstance(run, RateDistortionRun)
        manifest = export(run, places.bundle, data.kodak)
        return f"{manifest.codec}, model {manifest.model_id[:16]}"


class Data:
    """Training and validation pictures; the latter are read when they are first asked for."""

    def __init__(self, recipe: RateDistortion, places: Places) -> None:
        self._recipe, self._places = recipe, places
        self.training = self._examples(recipe.train)

    @cached_property
    def validation(self) -> Examples:
        """What a run is watched on."""
        return self._examples([self._recipe.validation])

    @property
    def kodak(self) -> Path:
        """The test feed, which need not be there."""
        return self._places.data / KODAK

    def _examples(self, patterns: list[str]) -> Examples:
        recipe, places = self._recipe, self._places
        parts = empty_parts(system(recipe.system), recipe.size)
        training = patterns == recipe.train
        device = default_device() if training else torch.device("cpu")
        if parts.text_width == 0:
            smallest = max(recipe.crop, recipe.copy_crop if recipe.copies else 0)
            store = PictureStore.load(
                places.data,
                patterns,
                smallest,
                places.workers,
                recipe.train_shares if training else (),
                device,
            )
            return Crops(store, Zoom(recipe.zoom_share))
        (pattern,) = patterns
        pictures = CaptionedPictures.load(
            places.data,
            pattern,
            places.cache,
            recipe.text_encoder,
            places.workers,
            words=parts.token_width > 0,
        )
        held_out = recipe.held_out if training else 0
        return CaptionedExamples(pictures, held_out, recipe.text_dropout, device)
