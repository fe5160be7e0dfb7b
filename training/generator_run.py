"""The run of a generator on a frozen stream: the generator, its moving average, and a discriminator."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.codecs.parts import Pass
from shared.networks.precision import coarse, default_device
from shared.networks.stages import Conditioning, SynthesisTransform
from shared.networks.transforms import Synthesis
from training.critics import critic_of
from training.examples import CaptionedExamples, Examples
from training.fresh import fresh_parts
from training.frozen_stream import padded, received
from training.groups import APART, Group, Steps, groups_of, over_batches_moves, step_recorder
from training.muon import muon_and_adamw
from training.reference import Measure, reference
from training.run import Average, Learner, Phase, Run, rise_and_fall
from training.terms.adversarial import Fool, adversarial_moves, discriminator_learner
from training.terms.features import Features
from training.terms.grid import Grid
from training.terms.matching import Matching
from training.terms.mse import squared_error
from training.terms.step import Batch, ByLevel, Step, Term
from training.terms.viewers import viewers_faults
from training.together import ALONE, Together

if TYPE_CHECKING:
    from training.recipes.generator import GeneratorRecipe

__all__ = ["GeneratorRun", "Sources"]

#: Steps whose pictures say what the stream's own pictures lack.
REFERENCE_STEPS = 6
#: Pictures that are measured at a time.
MEASURED = 32
#: Pixels a side that the last pixel shuffle of a generator makes of one place.
SHUFFLE = 4


@dataclass(frozen=True)
class Sources:
    """What a generator learns from.

    Attributes:
        captioned: whole pictures with captions.
        others: pictures of other scales without any; None for none.
    """

    captioned: CaptionedExamples
    others: Examples | None = None


class GeneratorRun(Run[Steps]):
    """A run.

    The terms of its loss are counted as shares of what the stream's own pictures have at each level: one set
    of weights serves rates sixty times apart.
    """

    def __init__(self, recipe: GeneratorRecipe, sources: Sources) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.sources, self.device = recipe, sources, default_device()
        self.parts = fresh_parts(recipe.system, recipe.size).to(self.device)
        self.parts.latent.ready(self.device, torch.float32)
        self.parts.to(memory_format=torch.channels_last).requires_grad_(False)
        self.parts.g_s.requires_grad_(True)
        assert isinstance(self.parts.g_s, Synthesis)
        self._start = {key: one.clone() for key, one in self.parts.g_s.state_dict().items()}
        #: Latents in units that are the same at every level: what D sees of them.
        self.units = copy.deepcopy(self.parts.g_s.gain).requires_grad_(False)
        batches = {1: recipe.batch, **dict.fromkeys((2, 4), recipe.copy_batch)}
        sides = dict.fromkeys((1, 2, 4), recipe.side)
        self.groups = groups_of(self.parts.ladder.scales, batches, sides)
        self.features = Features.shipped(1.0, recipe.features, self.device)
        self.reference = self._reference()
        self.average = Average(self.parts.g_s, recipe.average)
        width = self.parts.text_width
        critic = critic_of(
            recipe.discriminator, self.parts.g_s.latent, width, hears=recipe.discriminator_text
        )
        self.discriminator = critic.to(self.device)
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

    # -- the objective --------------------------------------------------------------------------

    def _measures(self) -> dict[str, tuple[float, Measure]]:
        """Weights and measures of pictures, by name."""
        recipe = self.recipe
        return {
            "squared error": (
                recipe.distortion_weight,
                lambda step: squared_error(step.out.x_hat, step.batch.x),
            ),
            "features": (recipe.perceptual_weight, self.features.distances),
            "viewers": (recipe.viewers_weight, viewers_faults),
        }

    def _reference(self) -> dict[str, Tensor]:
        """Means (levels,) of each measure over pictures as the stream's own synthesis paints them."""
        measures = {name: measure for name, (_, measure) in self._measures().items()}
        steps = (
            Step(number, batch, lambda b: self.generate(self.parts.g_s, b, None), learns=False)
            for number in range(REFERENCE_STEPS)
            for batch in (self.batch(number, group) for group in self.groups)
        )
        return reference(self.parts.levels, measures, steps)

    def _terms(self) -> list[Term]:
        measured: list[Term] = [
            ByLevel((weight / self.reference[name]).to(self.device), measure)
            for name, (weight, measure) in self._measures().items()
        ]
        weight, grid = self.recipe.grid_weight, Grid(SHUFFLE)
        measured.append(lambda step: weight * grid(step).mean())
        if self.recipe.generator_text and self.recipe.matching_weight:
            measured.append(Matching(self.recipe.matching_weight, self.features.matcher))
        return measured

    def _phases(self, learners: dict[str, Learner]) -> list[Phase[Steps]]:
        recipe = self.recipe
        fool = Fool(recipe.adversarial_weight, self.discriminator)
        schedule = rise_and_fall(recipe.warmup_steps, recipe.decay_fraction)
        moves = over_batches_moves(
            adversarial_moves(learners["g"], learners["d"], fool, self._terms(), schedule)
        )
        return [
            Phase(name, steps, part, recorder=step_recorder(self._step, self.device))
            for name, steps, part in (
                ("discriminator", recipe.discriminator_steps, moves[:1]),
                ("adversarial", recipe.adversarial_steps, moves),
            )
        ]

    # -- steps ----------------------------------------------------------------------------------

    def batch(self, step: int, group: Group, together: Together = ALONE) -> Batch:
        """What a step of one of some workers sees of one scale: captioned pictures, others behind them."""
        recipe, number = self.recipe, step + APART * self.groups.index(group)
        others = round(recipe.others_share * group.count) if self.sources.others else 0
        captioned = self.sources.captioned.batch(recipe.seed, number, group.count - others, 0)
        seen = replace(captioned, x=padded(captioned.x, group.scale))
        if others:
            assert self.sources.others is not None
            more = self.sources.others.batch(recipe.seed, number, others, seen.x.shape[2])
            seen = seen.joined(more.to(self.device))
        seen = together.part(replace(seen, quality=group.quality(self.device)))
        return self.received(seen, seen.quality, group.scale)

    def received(self, batch: Batch, quality: Tensor, scale: int) -> Batch:
        """A batch of padded pictures with what comes of them through the stream at levels (B,)."""
        share = batch.share * self.parts.ladder.scales.count(scale) / self.parts.levels
        y_hat = received(self.parts, batch.x, quality, scale)
        return replace(batch, quality=quality, scale=scale, share=share, y_hat=y_hat)

    def _step(self, index: int, batch: Batch) -> Step:
        return Step(
            index,
            batch,
            lambda b: self.generate(self.parts.g_s, b, self.given(b)),
            learns=True,
        )

    def draw(self, step: int, phase: str) -> Steps:
        """See :class:`Run`."""
        batches = (self.batch(step, group, self.together) for group in self.groups)
        return tuple(self._step(step, batch) for batch in batches)

    @property
    def averaged(self) -> Synthesis:
        """The generator with averaged weights."""
        module = self.average.module
        assert isinstance(module, Synthesis)
        return module

    def given(self, batch: Batch) -> Conditioning:
        """What this variant's generator is given of a batch's text."""
        return batch.told if self.recipe.generator_text else batch.told.silence

    def generate(self, g_s: SynthesisTransform, batch: Batch, given: Conditioning | None) -> Pass:
        """Pictures of the batch's latents, networks as coarse as is fast."""
        assert batch.y_hat is not None
        parts = self.parts.replaced({"g_s": g_s})
        height, width = batch.x.shape[2:]
        # A recorded step must not find weights that an earlier one has cast.
        with coarse(self.device, cache=False):
            y_hat = batch.y_hat.contiguous(memory_format=torch.channels_last)
            x_hat = parts.synthesise(y_hat, batch.quality, given, (height, width), batch.scale)
        return Pass(x_hat, self.units(batch.y_hat, batch.quality), None)

    # -- what comes of it -----------------------------------------------------------------------

    def told(
        self, data: CaptionedExamples, index: Sequence[int] | NDArray[np.int64], level: int, by: int
    ) -> Batch:
        """Pictures (n,) at one level, each told the first caption of the one ``by`` places on."""
        rows = np.asarray(index)
        speaker = (rows + by) % len(data.pictures)
        told = np.ones(len(rows), np.bool_)
        batch = data.of(rows, np.zeros_like(rows), told, speaker)
        scale = self.parts.ladder.scales[level]
        quality = torch.full((len(rows),), level, device=self.device)
        return self.received(replace(batch, x=padded(batch.x, scale)), quality, scale)

    @torch.no_grad()
    def measure(self, data: CaptionedExamples, pictures: int) -> dict[str, list[float]]:
        """What the generator's pictures lack, by what of, a value a level.

        Without words as shares of the reference; feature distances with the own caption and with another
        picture's as shares of that without.
        """
        names = (*self.reference, "own", "wrong")
        found: dict[str, list[float]] = {name: [] for name in names}
        count, g_s = min(pictures, len(data.pictures)), self.result()
        for level in range(self.parts.levels):
            sums = torch.zeros(len(names), device=self.device)
            for start in range(0, count, MEASURED):
                rows = range(start, min(start + MEASURED, count))
                own, wrong = (self.told(data, rows, level, by) for by in (0, 1))
                silent = self.shown(g_s, own, own.told.silence)
                heard, misled = self.shown(g_s, own, own.told), self.shown(g_s, wrong, wrong.told)
                lacks = [measure(silent).sum() for _, measure in self._measures().values()]
                lacks += [self.features.distances(one).sum() for one in (heard, misled)]
                sums += torch.stack(lacks)
            values = dict(zip(names, (sums / count).tolist(), strict=True))
            for name, unit in self.reference.items():
                found[name].append(values[name] / float(unit[level]))
            for name in ("own", "wrong"):
                found[name].append(values[name] / values["features"])
        return found

    def shown(self, g_s: Synthesis, batch: Batch, given: Conditioning | None) -> Step:
        """A batch, and what a generator paints of it."""
        return Step(self.step, batch, lambda b: self.generate(g_s, b, given), learns=False)

    @torch.no_grad()
    def result(self) -> Synthesis:
        """What ships: between the stream's own synthesis and the averaged generator.

        Wang et al., "ESRGAN" (2018), section 3.4: between networks that are near each other, what a
        discriminator taught goes along with the squared error. What reads the words stays as it was
        learnt; what enlarges copies has invented most, and goes back furthest.
        """
        result = copy.deepcopy(self.averaged)
        mixed = result.state_dict()
        for name, start in self._start.items():
            if not name.startswith("at."):
                enlarges = name.startswith("enlarge.")
                share = self.recipe.enlarger_share if enlarges else self.recipe.learnt_share
                mixed[name] = torch.lerp(start, mixed[name], share)
        result.load_state_dict(mixed)
        return result
