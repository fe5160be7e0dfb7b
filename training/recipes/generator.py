"""The ``frozen`` recipe: a generator learns on a stream that stands, and may be told the captions.

Qin et al. (2024), section 3.3, with HiFiC's constants: ``k_M * MSE + k_P * d + beta * L_adv``. The rate
terms are constant here, as encoder and entropy model stand still. First squared error alone; then D by
itself, while G waits; then all of it. What has learnt from small pictures alone invents texture in large
ones: so it settles at the end, from an average with what it began as (Wortsman et al., "Robust Fine-Tuning of
Zero-Shot Models", CVPR 2022), with pictures of other scales among the captioned ones. The twin is the same
run with ``generator_text`` off: same size, same steps, same pictures.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from pydantic import Field

from shared.bundle import Manifest, read_bundle, save_bundle
from shared.codecs.loading import bundle_folder, encoder_of
from shared.codecs.parts import Pass
from shared.networks.precision import Precision, default_device
from shared.networks.stages import Conditioning, SynthesisTransform
from shared.networks.transforms import Z_STRIDE, Synthesis
from shared.systems.catalogue import TextPlacement, system
from training.captioned import CaptionedPictures
from training.data import PictureStore
from training.discriminator import Discriminator, small_discriminator
from training.fresh import fresh_parts, stream_model_id
from training.generator_data import Draw, GeneratorData
from training.guard import GuardConfig, GuardData, train_guard
from training.muon import muon_and_adamw
from training.recipe import Places, Recipe, levels_line, provenance
from training.run import Average, Learner, Move, Phase, Run, rise_and_fall
from training.scales import cut_at_scales
from training.terms.adversarial import adversarial_moves, discriminator_learner
from training.terms.grid import Grid
from training.terms.mse import Mse, psnr
from training.terms.step import Batch, Step, Term

__all__ = ["GeneratorRecipe", "GeneratorRun"]

#: Of the validation set, in a log row.
VALIDATION_PICTURES = 96


class GeneratorRecipe(Recipe["Data"]):
    """Settings of a generator's run on a frozen stream (``sidewire train``)."""

    system: str = Field("ssa", description="row of the catalogue")
    size: dict[str, Any] = Field(default_factory=dict, description="of the system's networks")
    text_encoder: str = "minilm"
    generator_text: bool = Field(True, description="G reads the captions; otherwise always zero")
    guard: bool = Field(True, description="a guard against wrong captions is trained at the end")
    discriminator_text: bool = Field(True, description="D reads them; otherwise always zero")
    text_dropout: float = Field(0.15, ge=0, lt=1, description="share of pictures without words")

    train: str = Field(description="glob of Parquet files below the data folder")
    validation: str
    held_out: int = Field(
        400, ge=0, description="last pictures that no step sees: the guard is calibrated on them"
    )
    batch: int = Field(8, ge=1)
    distortion_steps: int = Field(ge=0, description="squared error alone")
    discriminator_steps: int = Field(0, ge=0, description="then D alone, before it teaches G")
    adversarial_steps: int = Field(ge=0, description="the whole objective")
    settling_steps: int = Field(0, ge=0, description="the whole objective, other scales among it")
    settling_share: float = Field(
        0.85, ge=0, le=1, description="of what was learnt, in the average that settling begins from"
    )
    settling_weights: tuple[float, ...] = Field(
        (), description="factors on k_M by level while settling; empty for 1"
    )
    grid_weight: float = Field(0.0, ge=0, description="of the grid term while settling")
    scales: str = Field("", description="glob of pictures without captions, for other scales")
    scaled: int = Field(3, ge=0, description="pictures of a batch that are of other scales")
    learning_rate: float = Field(1e-3, gt=0)
    discriminator_rate: float = Field(2e-4, gt=0)
    warmup_steps: int = Field(100, ge=0)
    adversarial_rate: float = Field(0.2, gt=0, description="G's rate then, as a share")
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.998, ge=0, lt=1, description="decay of the weights' moving average")

    distortion_weight: float = Field(
        0.075 * 2**-5, gt=0, description="k_M, on the 0..255 scale (HiFiC)"
    )
    features: str = Field("features", description="shipped matcher whose maps measure distance")
    perceptual_weight: float = Field(1.0, ge=0, description="k_P, of the feature distance")
    adversarial_weight: float = Field(0.15, ge=0, description="beta")

    def load(self, places: Places) -> Data:
        """See :meth:`Recipe.load`."""
        return Data(self, places)

    def begin(self, data: Data) -> GeneratorRun:
        """See :meth:`Recipe.begin`."""
        return GeneratorRun(self, data.training, data.scales)

    def watch(self, run: Run[Any], data: Data) -> str:
        """See :meth:`Recipe.watch`: PSNR of every level, by what is told."""
        assert isinstance(run, GeneratorRun)
        columns = zip(*run.measure(data.validation, VALIDATION_PICTURES), strict=True)
        names = ("matched", "none", "mismatched")
        named = {name: list(column) for name, column in zip(names, columns, strict=True)}
        return levels_line(named, 3)

    def export(self, run: Run[Any], data: Data, places: Places) -> str:
        """See :meth:`Recipe.export`: a guard comes with a generator that reads captions."""
        assert isinstance(run, GeneratorRun)
        size = import_module(system(self.system).module).Size.model_validate(self.size)
        tensors = {f"g_s.{key}": value for key, value in run.averaged.state_dict().items()}
        if self.guard and self.generator_text:
            guard = train_guard(run.guard_data(), GuardConfig(features=self.features))
            size = size.model_copy(update={"guard": guard.matcher.size})
            tensors |= {f"guard.{name}": value for name, value in guard.state_dict().items()}
        manifest = Manifest(
            codec=self.name,
            text=TextPlacement.DECODER if self.generator_text else TextPlacement.NOWHERE,
            text_encoder=self.text_encoder if self.generator_text else "",
            size=size.model_dump(mode="json"),
            model_id=stream_model_id(run.parts),
            provenance=provenance(self, run, data.training.pictures.digest),
        )
        tensors = {name: tensor.cpu().float() for name, tensor in tensors.items()}
        saved = save_bundle(places.bundle, manifest, tensors)
        return f"generator {saved.tensors_sha256[:16]} of stream {saved.model_id[:16]}"


class Data:
    """Training and validation data; the latter is made when it is first asked for."""

    def __init__(self, recipe: GeneratorRecipe, places: Places) -> None:
        self._recipe, self._places = recipe, places
        self.training = self._load(recipe.train)

    @cached_property
    def validation(self) -> GeneratorData:
        """What a run is watched on."""
        return self._load(self._recipe.validation)

    @cached_property
    def scales(self) -> GeneratorData | None:
        """Pictures of other scales, cut to the size of the captioned ones; None without any."""
        recipe, places = self._recipe, self._places
        if not recipe.scales:
            return None
        shape = self.training.pictures.pictures.shape
        width = self.training.pictures.vectors.shape[2]
        side = -(-shape[1] // Z_STRIDE) * Z_STRIDE  # as the captioned ones are padded
        store = PictureStore.load(places.data, [recipe.scales], side, places.workers)
        return self._with_latents(cut_at_scales(store, side, width, recipe.seed))

    def _load(self, pattern: str) -> GeneratorData:
        recipe, places = self._recipe, self._places
        pictures = CaptionedPictures.load(
            places.data, pattern, places.cache, recipe.text_encoder, places.workers
        )
        return self._with_latents(pictures)

    def _with_latents(self, pictures: CaptionedPictures) -> GeneratorData:
        recipe, places = self._recipe, self._places
        parts = fresh_parts(recipe.system, recipe.size)
        stream = read_bundle(bundle_folder(system(parts.stream)))
        encoder = encoder_of(stream, Precision.FLOAT32)
        return GeneratorData.load(encoder, parts.levels, pictures, places.cache)


class GeneratorRun(Run[Step]):
    """A run: generator and discriminator.

    Args:
        scales: pictures of other scales, without captions, for the last phase.
    """

    def __init__(
        self, recipe: GeneratorRecipe, data: GeneratorData, scales: GeneratorData | None = None
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.data, self.device = recipe, data, default_device()
        self.scales = scales
        self.how = Draw(recipe.seed, recipe.held_out, recipe.text_dropout, self.device)
        self.parts = fresh_parts(recipe.system, recipe.size)
        self.parts.g_s.to(self.device).to(memory_format=torch.channels_last)
        self.average = Average(self.parts.g_s, recipe.average)
        self._start = {key: value.clone() for key, value in self.parts.g_s.state_dict().items()}
        size = small_discriminator(
            self.parts.g_s.latent, self.parts.text_width, use_text=recipe.discriminator_text
        )
        self.discriminator = Discriminator(size).to(self.device)
        learners = {
            "g": Learner(
                muon_and_adamw(self.parts.g_s, recipe.learning_rate), recipe.clip_norm, self.average
            ),
            "d": discriminator_learner(self.discriminator, recipe.discriminator_rate),
        }
        models = {
            "g": self.parts.g_s,
            "average": self.average.module,
            "d": self.discriminator,
        }
        super().__init__(recipe.seed, self.draw, self._phases(learners), models, learners)

    def _phases(self, learners: dict[str, Learner]) -> list[Phase[Step]]:
        recipe = self.recipe
        mse = Mse(torch.full((self.parts.levels,), recipe.distortion_weight))
        phases = [
            Phase(
                "distortion",
                recipe.distortion_steps,
                [Move(learners["g"], mse, rise_and_fall(recipe.warmup_steps))],
            )
        ]
        if recipe.adversarial_steps:
            schedule = rise_and_fall(recipe.warmup_steps, peak=recipe.adversarial_rate)
            g, d = learners["g"], learners["d"]
            moves = adversarial_moves(recipe, g, d, self.discriminator, [mse], schedule)
            phases += [
                Phase("discriminator", recipe.discriminator_steps, moves[:1]),
                Phase("adversarial", recipe.adversarial_steps, moves),
            ]
            factors = recipe.settling_weights or (1.0,) * self.parts.levels
            mse = Mse(recipe.distortion_weight * torch.tensor(factors))
            terms: list[Term] = [mse, Grid(recipe.grid_weight)]
            moves = adversarial_moves(recipe, g, d, self.discriminator, terms, schedule)
            phases.append(Phase("settling", recipe.settling_steps, moves, self._begin_settling))
        return phases

    @torch.no_grad()
    def _begin_settling(self) -> None:
        """Go on from between what was learnt and what the transforms began as; blocks stay as they are."""
        averaged = self.averaged.state_dict()
        for name, start in self._start.items():
            if not name.startswith("at."):
                averaged[name] = torch.lerp(
                    start.to(self.device), averaged[name], self.recipe.settling_share
                )
        self.parts.g_s.load_state_dict(averaged)
        self.averaged.load_state_dict(averaged)

    def draw(self, step: int, phase: str) -> Step:
        """See :class:`Run`."""
        recipe = self.recipe
        if phase == "settling" and self.scales is not None:
            captioned = self.data.draw(self.how, step, recipe.batch - recipe.scaled)
            others = self.scales.draw(replace(self.how, held_out=0), step, recipe.scaled)
            batch = captioned.joined(others)
        else:
            batch = self.data.draw(self.how, step, recipe.batch)
        return Step(
            step,
            batch,
            lambda b: self.generate(self.parts.g_s, b, self.given(b)),
            learns=phase != "discriminator",
        )

    @property
    def averaged(self) -> Synthesis:
        """The generator with averaged weights."""
        module = self.average.module
        assert isinstance(module, Synthesis)
        return module

    def given(self, batch: Batch) -> Conditioning:
        """What this variant's generator is given of a batch's text."""
        assert batch.text is not None
        text = batch.text
        return Conditioning(text if self.recipe.generator_text else torch.zeros_like(text))

    def generate(self, g_s: SynthesisTransform, batch: Batch, given: Conditioning) -> Pass:
        """Pictures of the batch's latents, networks in bfloat16."""
        assert batch.y_hat is not None
        parts = self.parts.replaced({"g_s": g_s})
        with torch.autocast(self.device.type, torch.bfloat16):
            y_hat = batch.y_hat.to(memory_format=torch.channels_last)
            height, width = batch.x.shape[2:]
            x_hat = parts.synthesise(y_hat, batch.quality, given, (height, width))
        return Pass(x_hat, batch.y_hat, None)

    def guard_data(self) -> GuardData:
        """What a guard for this generator is trained on."""
        return GuardData(
            pictures=self.data.pictures,
            known=len(self.data.pictures) - self.recipe.held_out,
            latents=self.data.latents,
            g_s=self.averaged,
            batch=partial(self.data.batch, device=self.device),
            generate=lambda batch, given: self.generate(self.averaged, batch, given).x_hat,
            device=self.device,
        )

    @torch.no_grad()
    def measure(self, data: GeneratorData, pictures: int) -> list[tuple[float, float, float]]:
        """PSNR with a picture's own caption, without one and with another's, a row a level."""
        rows = []
        count = min(pictures, len(data.pictures))
        own = data.pictures.vectors[:count, 0]
        told, silent = np.ones(count, np.bool_), np.zeros(count, np.bool_)
        modes = ((own, told), (own, silent), (np.roll(own, 1, 0), told))
        for level in range(self.parts.levels):
            values = np.zeros((3, count))
            for start in range(0, count, self.recipe.batch):
                index = np.arange(start, min(start + self.recipe.batch, count))
                quality = np.full_like(index, level)
                for row, (captions, hears) in zip(values, modes, strict=True):
                    batch = data.batch(index, quality, captions[index], hears[index], self.device)
                    x_hat = self.generate(self.averaged, batch, self.given(batch)).x_hat
                    row[index] = psnr(x_hat, batch.x).cpu().numpy()
            matched, none, mismatched = values.mean(1).tolist()
            rows.append((matched, none, mismatched))
        return rows
