"""The run of a rate-distortion recipe: parts that learn, and their moving average."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.bundle import shipped_bundle
from shared.codecs.parts import Parts, Pass
from shared.latents.hyperprior import Hyperprior
from shared.matcher_bundle import load_any_matcher
from shared.networks.precision import coarse, default_device
from shared.networks.stages import Conditioning
from shared.networks.transforms import Analysis
from shared.systems.catalogue import TextPlacement
from training.block_transform import start_as_block_transform
from training.critic import Critic
from training.critics import critic_of
from training.examples import Examples
from training.fresh import fresh_parts
from training.groups import APART, Group, groups_of, over_batches_moves, step_recorder
from training.integers import Integers, IntegerStep
from training.muon import Muon, matrices_of, muon_and_adamw
from training.reference import Measure, reference
from training.run import Average, Learner, Move, Phase, Run, rise_and_fall
from training.terms.adversarial import Fool, adversarial_moves, discriminator_learner
from training.terms.features import Features
from training.terms.image_text import embedding_distances
from training.terms.matching import confusions
from training.terms.mse import Mse, psnr, squared_error
from training.terms.rate import Rate
from training.terms.semantic import semantic_loss
from training.terms.similarity import Similarity
from training.terms.step import Batch, ByLevel, Step, Term, sum_of

if TYPE_CHECKING:
    from training.recipes.rate_distortion import RateDistortion

__all__ = ["RateDistortionRun"]

#: The linear path of each transform, by the name of its module.
LINEAR_PATHS = {"g_a": "project", "g_s": "expand"}
#: Steps whose pictures say what the stream lacks where a run begins.
REFERENCE_STEPS = 6


class RateDistortionRun(Run[Any]):
    """A run: the system's parts, and the average of those that learn.

    Attributes:
        integers: of a system whose entropy model learns from nothing; None where a stream's is kept.
    """

    def __init__(self, recipe: RateDistortion, examples: Examples) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.examples, self.device = recipe, examples, default_device()
        parts = fresh_parts(recipe.system, recipe.size, recipe.start)
        self.levels = parts.levels
        batches = {1: recipe.batch, **dict.fromkeys((2, 4), recipe.copy_batch)}
        sides = {1: recipe.crop, **dict.fromkeys((2, 4), recipe.copy_crop)}
        self.groups = groups_of(parts.ladder.scales, batches, sides)
        self.integers: Integers | None = None
        if parts.stream or recipe.start:
            parts.latent.ready(self.device, torch.float32)
            parts.latent.requires_grad_("latent" in recipe.learns)
        else:
            assert isinstance(parts.latent, Hyperprior)
            self.integers = Integers(parts.latent, self.device)
            if isinstance(parts.g_a, Analysis):
                ladder = recipe.ladder(self.levels)
                spread = start_as_block_transform(parts, ladder, examples, recipe.seed, recipe.crop)
                self.integers.start_from(spread)
        self.parts = parts.to(self.device).to(memory_format=torch.channels_last)
        learning = nn.ModuleDict({name: getattr(parts, name) for name in recipe.learns})
        self.average = Average(learning, recipe.average)
        self._begun = copy.deepcopy(learning).requires_grad_(False) if recipe.start_share else None
        models: dict[str, nn.Module] = {"learning": learning, "average": self.average.module}
        learners = {"parts": self._learner(learning)}
        schedule = rise_and_fall(recipe.warmup_steps, recipe.decay_fraction)
        terms = self._terms()
        moves: Sequence[Move[Any]] = [Move(learners["parts"], sum_of(terms), schedule)]
        phases = [self._phase("float", recipe.steps, moves)]
        if recipe.adversarial_steps:
            d = self._discriminator()
            models["d"] = d
            learners["d"] = discriminator_learner(d, recipe.discriminator_rate)
            features = Features.shipped(recipe.perceptual_weight, recipe.features, self.device)
            fool = Fool(recipe.adversarial_weight, d)
            moves = adversarial_moves(
                learners["parts"], learners["d"], fool, [*terms, features], schedule
            )
            phases.append(self._phase("adversarial", recipe.adversarial_steps, moves))
        if self.integers is not None:
            weights = recipe.level_weights(self.levels)
            models["float_twin"] = self.integers.float_twin
            learners |= self.integers.learners(recipe.quantised_learning_rate)
            moves = self.integers.moves(learners, weights.to(self.device))
            begin = self.begin_integers
            phases.append(
                Phase("integer", recipe.quantised_steps, over_batches_moves(moves), begin)
            )
        super().__init__(recipe.seed, self.draw, phases, models, learners)

    def _phase(self, name: str, steps: int, moves: Sequence[Move[Any]]) -> Phase[Any]:
        """Steps that see a batch of each scale, recorded where there is a GPU."""
        recorder = step_recorder(self._step, self.device)
        return Phase(name, steps, over_batches_moves(moves), recorder=recorder)

    def _learner(self, learning: nn.ModuleDict) -> Learner:
        """Muon for matrices, AdamW for the rest; linear paths and what is attached apart, at their rates."""
        recipe = self.recipe
        optimisers: list[torch.optim.Optimizer] = []
        for name, part in zip(recipe.learns, learning.values(), strict=True):
            rate = recipe.learning_rate * recipe.part_rates.get(name, 1.0)
            path = getattr(part, LINEAR_PATHS.get(name, ""), None)
            linear = list(path.parameters()) if path is not None else []
            taken = {id(parameter) for parameter in linear}
            attached = getattr(part, "at", None)
            if attached:
                optimisers += muon_and_adamw(attached, rate * recipe.attached_rate)
                taken |= {id(parameter) for parameter in attached.parameters()}
            matrices = [p for p in matrices_of(part) if id(p) not in taken]
            taken |= {id(parameter) for parameter in matrices}
            rest = [p for p in part.parameters() if p.requires_grad and id(p) not in taken]
            # Linear paths start near their optimum: large steps would only shake them.
            for group, share in ((matrices, 1.0), (linear, recipe.linear_rate)):
                optimisers += [Muon(group, lr=rate * share)] if group else []
            optimisers.append(torch.optim.AdamW(rest, rate, betas=(0.9, 0.98), weight_decay=0.0))
        return Learner(optimisers, recipe.clip_norm, self.average)

    def _terms(self) -> list[Term]:
        recipe = self.recipe
        if recipe.target is not None:
            k_m = torch.full((self.levels,), recipe.distortion_weight)
            return [recipe.target, Mse(k_m)]
        weights = recipe.level_weights(self.levels).to(self.device)
        distortion = weights * recipe.ladder(self.levels).to(self.device)
        terms: list[Term] = [Rate(weights), Mse(distortion)]
        if recipe.similarity_weight:
            terms.append(Similarity(recipe.similarity_weight * distortion))
        if recipe.shares:
            terms += self._shares(255**2 * distortion)
        return terms

    def _shares(self, distortion: Tensor) -> list[Term]:
        """Terms beside the squared error, in units of what it has where the run begins.

        Args:
            distortion: (levels,) weights of the squared error of pictures in 0..1.
        """
        matcher = Features.shipped(1.0, self.recipe.features, self.device)
        measures: dict[str, Measure] = {
            "squared error": lambda step: squared_error(step.out.x_hat, step.batch.x),
            "features": matcher.distances,
            "embedding": lambda step: embedding_distances(step, matcher.matcher),
            "caption": lambda step: confusions(step, matcher.matcher),
        }
        if "semantic" in self.recipe.shares:
            f_i = load_any_matcher(shipped_bundle(self.recipe.semantics))[0].to(self.device)
            measures["semantic"] = lambda step: semantic_loss(step, f_i)
        steps = (
            self._step(number, self.batch(number, group))
            for number in range(REFERENCE_STEPS)
            for group in self.groups
        )
        mean = {
            name: one.to(self.device)
            for name, one in reference(self.levels, measures, steps).items()
        }
        unit = distortion * mean["squared error"]
        return [
            ByLevel(share * unit / mean[name], measures[name])
            for name, share in self.recipe.shares.items()
        ]

    def _discriminator(self) -> Critic:
        recipe = self.recipe
        critic = critic_of(
            recipe.discriminator,
            self.parts.g_s.latent,
            self.parts.text_width or 1,
            hears=recipe.told is not TextPlacement.NOWHERE,
            weights=recipe.discriminator_weights,
        )
        return critic.to(self.device)

    # -- steps ----------------------------------------------------------------------------------

    def batch(self, step: int, group: Group) -> Batch:
        """What a step sees of one scale, on the run's device."""
        number = step + APART * self.groups.index(group)
        drawn = self.examples.batch(self.recipe.seed, number, group.count, group.side)
        share = len(group.levels) / self.levels
        return replace(
            drawn.to(self.device),
            quality=group.quality(self.device),
            scale=group.scale,
            share=share,
        )

    def _step(self, step: int, batch: Batch) -> Step:
        return Step(step, batch, lambda seen: self.forward(self.parts, seen), learns=True)

    def draw(self, step: int, phase: str) -> tuple[Step, ...] | tuple[IntegerStep, ...]:
        """See :class:`Run`."""
        batches = [self.together.part(self.batch(step, group)) for group in self.groups]
        if phase != "integer" or self.integers is None:
            return tuple(self._step(step, batch) for batch in batches)
        return tuple(
            self.integers.step(self.analysed(batch), batch, self.told(batch)) for batch in batches
        )

    def given(self, batch: Batch) -> tuple[Conditioning | None, Conditioning | None]:
        """What the encoder and the decoder are given: the text, or silence."""
        if batch.text is None:
            return None, None
        told, where = batch.told, self.recipe.told
        silence = told.silence
        return told if where.at_encoder else silence, told if where.at_decoder else silence

    def told(self, batch: Batch) -> Tensor | None:
        """Sentence vectors (B, D) as the encoder is told them; None without captions."""
        given = self.given(batch)[0]
        return None if given is None else given.text

    def forward(self, parts: Parts, batch: Batch) -> Pass:
        """One pass, networks as coarse as is fast."""
        # A recorded step must not find weights that an earlier one has cast.
        with coarse(self.device, cache=False):
            out: Pass = parts(batch.x, batch.quality, *self.given(batch), batch.scale)
        return out

    @torch.no_grad()
    def analysed(self, batch: Batch) -> Tensor:
        """y of a batch, (B, M, H/16, W/16) float32."""
        with coarse(self.device):
            x = self.parts.copied(batch.x, batch.scale)
            y = self.parts.analyse(x, batch.quality, self.given(batch)[0])
        return y.float()

    def begin_integers(self) -> None:
        """Continue from the averaged weights, with only the scale branch learning."""
        assert self.integers is not None
        self.integers.begin(self.average)

    def finish_integers(self) -> None:
        """Run the integer phase from where the float phase stands, however far that is."""
        if self.integers is None:
            return
        if not self.integers.begun:
            left, kept = self.step, []
            for phase in self.phases[:-1]:
                kept.append(replace(phase, steps=min(left, phase.steps)))
                left -= kept[-1].steps
            self.phases[:-1] = kept
        while self.step < self.steps:
            self.train_step()

    # -- what comes of it -----------------------------------------------------------------------

    @property
    def averaged(self) -> Parts:
        """The parts with averaged weights, and their share of what they began as.

        Once these are on integers, the parts themselves.
        """
        if self.integers is not None and self.integers.begun:
            return self.parts
        learnt = self.average.module
        if self._begun is not None:
            learnt = copy.deepcopy(learnt)
            for own, first in zip(learnt.parameters(), self._begun.parameters(), strict=True):
                own.data.lerp_(first.data, self.recipe.start_share)
        return self.parts.replaced(dict(zip(self.recipe.learns, learnt.values(), strict=True)))

    @torch.no_grad()
    def measure(self, examples: Examples, pictures: int) -> tuple[list[float], list[float]]:
        """Bits a pixel of rounded values and PSNR of the averaged weights, one value a level.

        For watching a run: what is reported comes from real containers.
        """
        model = self.averaged.eval()
        rates, values = np.zeros(self.levels), np.zeros(self.levels)
        for group in self.groups:
            found = (examples.one(index, group.side) for index in range(pictures))
            batches = [one.repeated(group.levels) for one in found if one is not None]
            span = slice(group.levels.start, group.levels.stop)
            for batch in batches:
                seen = replace(batch.to(self.device), scale=group.scale)
                out = self.forward(model, seen)
                assert out.bits is not None
                pixels = seen.x.shape[2] * seen.x.shape[3]
                rates[span] += out.bits.cpu().numpy() / pixels / len(batches)
                values[span] += psnr(out.x_hat, seen.x).cpu().numpy() / len(batches)
        model.train()
        return rates.tolist(), values.tolist()
