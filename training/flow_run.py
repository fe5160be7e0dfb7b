"""The run of a painter: first the flow alone in latents, then what comes of it as pictures, too.

The first phase is plain flow matching: of residuals, noise and times that are drawn, the network says where
the lines end. In the second it learns on its own way, from noise in as many steps as painters take: what it
says lies at the end is painted by the frozen g_s, and a generator's terms stand beside squared error:
feature distance, nearness in meaning, showing the caption, and no grid. (On straight lines to the truth these
terms teach each step to sharpen what is sharp already, and twelve such steps make artefacts.) Some
references are already painted in a region, as they are after an item's steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.codecs.parts import Parts, Pass
from shared.networks.flow import Flow, sample
from shared.networks.precision import coarse, default_device
from shared.networks.stages import Conditioning
from shared.networks.transforms import Y_STRIDE
from training.examples import CaptionedExamples
from training.flow_data import LatentPairs
from training.muon import muon_and_adamw
from training.recipe import levels_line
from training.reference import Measure, reference
from training.run import Average, Learner, Move, Phase, Run, rise_and_fall
from training.terms.features import Features
from training.terms.grid import Grid
from training.terms.image_text import embedding_distances
from training.terms.matching import confusions
from training.terms.mse import psnr
from training.terms.step import Batch, Step, Term, sum_of

if TYPE_CHECKING:
    from training.recipes.flow import FlowRecipe

__all__ = ["FlowRun", "FlowSource", "Line", "LineStep"]

#: Steps whose references say what they lack.
REFERENCE_STEPS = 12
#: Of the references some are painted in a region already, from so much of what they lack on.
PAINTED_SHARE, PAINTED_LEAST = 0.3, 0.3
#: Pictures that spread and scale of the latents are taken from.
MEASURED = 512
#: Of the steps on pictures so many are the last one to the picture, and so many begin behind an item's.
LAST_SHARE, ITEM_SHARE = 0.5, 0.6
#: Pictures that are watched.
WATCHED = 32


@dataclass(frozen=True)
class FlowSource:
    """Captioned pictures with their latents, in the same order."""

    captioned: CaptionedExamples
    pairs: LatentPairs


@dataclass(frozen=True)
class Line:
    """Lines from noise to residuals, and a place on each.

    Attributes:
        place: (B, M, h, w), r_t.
        end: (B, M, h, w), r.
        y_ref: (B, M, h, w), of the references.
        t: (B,) in 0..1.
    """

    place: Tensor
    end: Tensor
    y_ref: Tensor
    t: Tensor


class LineStep(Step):
    """A step over pictures whose residuals lie on lines."""

    def __init__(
        self,
        index: int,
        batch: Batch,
        forward: Callable[[Batch], Pass],
        line: Line,
    ) -> None:
        super().__init__(index, batch, forward, learns=True)
        self.line = line


class FlowRun(Run[LineStep]):
    """A run: the flow, and its moving average; the stream's parts stand still."""

    def __init__(self, recipe: FlowRecipe, parts: Parts, flow: Flow, source: FlowSource) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.source, self.device = recipe, source, default_device()
        self.parts = parts.to(self.device).to(memory_format=torch.channels_last)
        self.parts.requires_grad_(False)
        self.flow = flow.to(self.device).to(memory_format=torch.channels_last)
        if not recipe.start:
            self._measure_units()
        self._share = self.flow.spread.square() / self.flow.spread.square().mean()
        self.matcher = Features.shipped(1.0, recipe.features, self.device)
        self.average = Average(self.flow, recipe.average)
        learner = Learner(
            muon_and_adamw(self.flow, recipe.learning_rate), recipe.clip_norm, self.average
        )
        schedule = rise_and_fall(recipe.warmup_steps, recipe.decay_fraction)
        phases = [
            Phase("flow", recipe.steps, [Move(learner, self._missed, schedule)]),
            Phase("pictures", recipe.picture_steps, [Move(learner, self._objective, schedule)]),
        ]
        models: dict[str, nn.Module] = {"flow": self.flow, "average": self.average.module}
        super().__init__(recipe.seed, self.draw, phases, models, {"flow": learner})
        self._on_pictures = self._picture_terms()

    @torch.no_grad()
    def _measure_units(self) -> None:
        y, y_ref = (
            torch.from_numpy(np.asarray(one[:MEASURED])).float()
            for one in (self.source.pairs.y, self.source.pairs.y_ref)
        )
        self.flow.spread.copy_((y - y_ref).square().mean((0, 2, 3)).sqrt().clamp_min(1e-3))
        self.flow.scale.copy_(y_ref.square().mean((0, 2, 3)).sqrt().clamp_min(1e-3))

    # -- steps ----------------------------------------------------------------------------------

    def draw(self, step: int, phase: str) -> LineStep:
        """See :class:`Run`."""
        on_its_way = phase == "pictures"
        count = self.recipe.picture_batch if on_its_way else self.recipe.batch
        batch, line = self._batch(step, count)
        if on_its_way:
            line = self._followed(step, batch.told, line)
        return LineStep(
            step, batch, lambda seen: self.painted(self.reached(line, seen.told), line, seen), line
        )

    def _batch(self, number: int, count: int) -> tuple[Batch, Line]:
        rng = np.random.default_rng([self.recipe.seed, number])
        captioned = self.source.captioned
        index = rng.integers(captioned.known, size=count)
        caption = rng.integers(captioned.pictures.vectors.shape[1], size=count)
        told = rng.random(count) >= captioned.dropout
        batch = captioned.of(index, caption, told)
        return batch, self._line(index, rng)

    def _line(self, index: NDArray[np.int64], rng: np.random.Generator) -> Line:
        pairs = self.source.pairs
        y, y_ref = (
            torch.from_numpy(one[index]).float().to(self.device) for one in (pairs.y, pairs.y_ref)
        )
        # Some references are painted in a region already.
        painted = torch.from_numpy(_regions(rng, len(index), y.shape[2], y.shape[3])).to(y)
        y_ref = y_ref + painted[:, None] * (y - y_ref)
        end = (y - y_ref) / self.flow.spread[:, None, None]
        noise = torch.from_numpy(rng.standard_normal(end.shape, np.float32)).to(end)
        t = torch.from_numpy(rng.random(len(index), np.float32)).to(end)
        place = torch.lerp(noise, end, t[:, None, None, None])
        return Line(place, end, y_ref, t)

    @torch.no_grad()
    def _followed(self, number: int, told: Conditioning, line: Line) -> Line:
        """The same pictures, at a place that the flow itself leads to; in half of the steps the last one."""
        rng = np.random.default_rng([self.recipe.seed, number, 1])
        size = self.recipe.size
        if rng.random() < ITEM_SHARE:
            line = self._with_an_item(rng, told, line)
        steps = int(rng.choice([size.item_steps, size.steps]))
        taken = steps - 1 if rng.random() < LAST_SHARE else int(rng.integers(steps))
        place = self._led(rng, told, line, steps, taken)
        return replace(line, place=place, t=torch.full_like(line.t, taken / steps))

    def _with_an_item(self, rng: np.random.Generator, told: Conditioning, line: Line) -> Line:
        """The same lines behind an item's steps: references that the flow itself has painted in a region."""
        steps = self.recipe.size.item_steps
        r = self._led(rng, told, line, steps, steps)
        count, _, height, width = r.shape
        region = torch.from_numpy(_rectangles(rng, count, height, width)).to(r)[:, None] * r
        y_ref = line.y_ref + region * self.flow.spread[:, None, None]
        return replace(line, end=line.end - region, y_ref=y_ref)

    def _led(
        self, rng: np.random.Generator, told: Conditioning, line: Line, steps: int, taken: int
    ) -> Tensor:
        """Where the flow leads from noise in the first ``taken`` of ``steps``."""
        noise = torch.from_numpy(rng.standard_normal(line.end.shape, np.float32)).to(line.end)

        def end(r: Tensor, t: Tensor) -> Tensor:
            return self.reached(replace(line, place=r, t=t), told)

        return sample(end, noise, steps, taken)

    def reached(self, line: Line, told: Conditioning) -> Tensor:
        """Where the network says that lines end, as coarse inside as is fast."""
        with coarse(self.device):
            out: Tensor = self.flow(line.place, line.y_ref, line.t, told)
        return out

    def painted(self, end: Tensor, line: Line, batch: Batch) -> Pass:
        """Pictures of residuals on their references; the latents stand beside, in units of r."""
        y = line.y_ref + end * self.flow.spread[:, None, None]
        quality = torch.full((len(y),), self.recipe.canvas, device=self.device)
        height, width = batch.x.shape[2:]
        with coarse(self.device):
            x_hat = self.parts.synthesise(y, quality, None, (height, width))
        return Pass(x_hat, end, None)

    # -- the objective --------------------------------------------------------------------------

    def _missed(self, step: LineStep) -> Tensor:
        """Squared error of the ends, as a share of what the references lack: flow matching."""
        return self._squared(self.reached(step.line, step.batch.told), step.line)

    def _squared(self, end: Tensor, line: Line) -> Tensor:
        return ((end - line.end).square() * self._share[:, None, None]).mean()

    def _objective(self, step: LineStep) -> Tensor:
        assert step.out.y_hat is not None
        return self._squared(step.out.y_hat, step.line) + self._on_pictures(step)

    def _measures(self) -> dict[str, Measure]:
        matcher = self.matcher
        return {
            "features": matcher.distances,
            "embedding": lambda step: embedding_distances(step, matcher.matcher),
            "caption": lambda step: confusions(step, matcher.matcher),
            "grid": Grid(Y_STRIDE),
        }

    def _picture_terms(self) -> Term:
        """Terms on pictures, each as a share of what it is of the references."""
        measures = self._measures()
        mean = reference(1, measures, map(self._unpainted, range(REFERENCE_STEPS)))

        def term(name: str, share: float) -> Term:
            weight = share / float(mean[name])
            return lambda step: weight * measures[name](step).mean()

        return sum_of([term(name, share) for name, share in self.recipe.shares.items()])

    def _unpainted(self, number: int) -> Step:
        """References as they are."""
        batch, line = self._batch(number, self.recipe.picture_batch)
        still = torch.zeros_like(line.end)
        return Step(number, batch, lambda seen: self.painted(still, line, seen), learns=False)

    # -- what comes of it -----------------------------------------------------------------------

    @torch.no_grad()
    def watched(self, source: FlowSource) -> str:
        """A line for the log, of pictures that no step sees: with their captions, none, and others'."""
        flow, rows = self.average.module.eval(), np.arange(WATCHED)
        pairs, captioned = source.pairs, source.captioned
        y_ref = torch.from_numpy(pairs.y_ref[rows]).float().to(self.device)
        noise = torch.randn(
            y_ref.shape, generator=torch.Generator().manual_seed(self.recipe.seed)
        ).to(self.device)
        line = Line(noise, noise, y_ref, torch.zeros(len(rows), device=self.device))
        found: dict[str, list[float]] = {"psnr": [], "features": [], "confusion": []}
        for by, told in ((None, True), (0, True), (0, False), (1, True)):
            speaker = (rows + (by or 0)) % len(captioned.pictures)
            said = np.full(len(rows), told)
            batch = captioned.of(rows, np.zeros_like(rows), said, speaker)
            still = by is None
            end = torch.zeros_like(noise) if still else self._sampled(flow, line, batch.told)
            own = captioned.of(rows, np.zeros_like(rows), np.ones(len(rows), np.bool_))
            out = self.painted(end, line, own)
            step = Step(self.step, own, lambda _, out=out: out, learns=False)  # type: ignore[misc]
            found["psnr"].append(float(psnr(out.x_hat, own.x).mean()))
            found["features"].append(float(self.matcher.distances(step).mean()))
            found["confusion"].append(float(confusions(step, self.matcher.matcher).mean()))
        return levels_line(found, 3)

    def _sampled(self, flow: Flow, line: Line, told: Conditioning) -> Tensor:
        def end(r: Tensor, t: Tensor) -> Tensor:
            out: Tensor = flow(r, line.y_ref, t, told)
            return out

        with coarse(self.device):
            return sample(end, line.place, self.recipe.size.steps)


def _regions(rng: np.random.Generator, count: int, height: int, width: int) -> NDArray[np.float32]:
    """How far places are painted already, (B, h, w): for most pictures nowhere, for some in a rectangle."""
    chosen = rng.random(count) < PAINTED_SHARE
    how_far = (chosen * rng.uniform(PAINTED_LEAST, 1, count)).astype(np.float32)
    return how_far[:, None, None] * _rectangles(rng, count, height, width)


def _rectangles(
    rng: np.random.Generator, count: int, height: int, width: int
) -> NDArray[np.float32]:
    """A rectangle of ones in each of (B, h, w)."""
    found = np.zeros((count, height, width), np.float32)
    for one in found:
        (top, bottom), (left, right) = (
            np.sort(rng.integers(0, side + 1, 2)) for side in (height, width)
        )
        one[top:bottom, left:right] = 1
    return found
