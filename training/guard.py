"""Training of the guard: which pictures and captions belong together, and how far to trust the score.

Two steps, after the generator. The guard's matcher learns contrastively on thumbnails of the frozen
latents and their captions; it sees every picture also as it was, since a large picture's thumbnail is
as sharp. Then each level's slope and threshold are fitted on pictures that neither it nor the generator has
seen, for the least error of generated pictures to be expected where some captions are another picture's,
and a few say nothing that would not be true of any picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from shared.networks.guard import Guard
from shared.networks.matcher import Matcher, MatcherSize
from shared.networks.transforms import Synthesis
from shared.pictures import LUMA_WEIGHTS
from shared.text.registry import get_text_encoder
from training.contrast import Contrast, ContrastSettings, squares
from training.frozen_stream import padded
from training.generator_run import GeneratorRun
from training.terms.step import Batch

__all__ = ["GENERIC", "GuardConfig", "TrustCurves", "fit_trust", "train_guard"]

#: Trusts at which the generator's error is measured for the fit; between them it is interpolated.
TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Adam's rates in the fit; slopes are a few tens, thresholds are cosines.
SLOPE_RATE, THRESHOLD_RATE = 1.0, 5e-3
#: Thumbnails made at a time.
CHUNK = 64
#: Captions that are true of any picture.
GENERIC = (
    "A photograph.",
    "A picture.",
    "An image.",
    "Photo of the day.",
    "A photo of something.",
    "Look at this!",
    "No description available.",
    "This is a picture.",
)


class GuardConfig(ContrastSettings):
    """How the guard is trained.

    Attributes:
        wrong: share of captions that are taken to belong to another picture.
        generic: share that are taken to be true of any.
        pictures: that it is calibrated on, at each level.
        stride: between levels whose thumbnails the matcher learns from.
    """

    seed: int = 1
    size: MatcherSize = MatcherSize(widths=(24, 48, 80, 128, 192), channels=1)
    steps: int = Field(480, ge=1)
    weight_decay: float = 0.2
    brightness: float = 0.08
    wrong: float = Field(0.3, gt=0, lt=0.5)
    generic: float = Field(0.1, ge=0, lt=0.5)
    pictures: int = Field(128, ge=2)
    stride: int = Field(3, ge=1)
    fit_steps: int = Field(400, ge=1)


@torch.no_grad()
def _views(run: GeneratorRun, g_s: Synthesis, side: int, stride: int) -> Tensor:
    """Luma (V, known, 1, side, side) uint8: thumbnails of every few levels, and the picture itself."""
    data, made = run.sources.captioned, []
    count, pictures = data.known, data.pictures.pictures
    starts = range(0, count, CHUNK)
    for level in range(0, run.parts.levels, stride):
        for start in starts:
            seen = run.told(data, range(start, min(start + CHUNK, count)), level, 0)
            assert seen.y_hat is not None
            thumbnail = g_s.thumbnail(seen.y_hat, seen.quality, side)
            made.append(squares(thumbnail * 255, side))
    weights = torch.tensor(LUMA_WEIGHTS, device=run.device)[:, None, None]
    for start in starts:
        x = torch.from_numpy(pictures[start : min(start + CHUNK, count)]).to(run.device)
        whole = padded(x.permute(0, 3, 1, 2).float(), run.parts.ladder.scales[0])
        made.append(squares((whole * weights).sum(1, keepdim=True), side))
    return torch.cat(made).reshape(-1, count, 1, side, side)


@dataclass(frozen=True)
class TrustCurves:
    """What trusting a caption costs at one level, on held-out pictures.

    Attributes:
        scores: (n,) cosine of picture and caption.
        errors: (n, len(TRUSTS)) of the generated picture: its feature distance to the original, as a share
            of the one without words, less the cosine by which it shows a true caption. Squared error hardly
            hears words on a stream with colour.
    """

    scores: Tensor
    errors: Tensor


def _curves(
    guard: Guard, run: GeneratorRun, g_s: Synthesis, batches: list[Batch], true: list[Tensor]
) -> TrustCurves:
    """Of some batches, and the vectors (B, D) of another true caption of each of their pictures."""
    scores, errors = [], []
    for batch, caption in zip(batches, true, strict=True):
        assert batch.y_hat is not None
        assert batch.text is not None
        thumbnail = g_s.thumbnail(batch.y_hat, batch.quality, guard.side)
        scores.append(guard.score(thumbnail, batch.text))
        distances, shown = [], []
        for trust in TRUSTS:
            given = replace(batch.told, trust=torch.full((len(batch.x),), trust, device=run.device))
            step = run.shown(g_s, batch, given)
            distances.append(run.features.distances(step))
            shown.append((run.features.matcher(step.out.x_hat) * caption).sum(1))
        distance = torch.stack(distances, 1)
        errors.append(distance / distance[:, :1] - torch.stack(shown, 1))
    return TrustCurves(torch.cat(scores), torch.cat(errors))


def _saying(batch: Batch, encoder: str, sentences: list[str]) -> Batch:
    """A batch that is told these sentences."""
    features = get_text_encoder(encoder).encode(sentences)
    device = batch.x.device
    said = replace(batch, text=features.sentence.to(device))
    if batch.tokens is None:
        return said
    return replace(said, tokens=features.tokens.to(device), mask=features.mask.to(device))


def fit_trust(
    curves: list[tuple[float, TrustCurves]], slope: float, steps: int
) -> tuple[float, float]:
    """Slope and threshold with the least expected error over kinds of captions and their shares.

    Args:
        slope: to begin with.
        steps: of the descent.
    """
    (_, own), (_, wrong), *_ = curves
    start = (own.scores.mean() + wrong.scores.mean()) / 2
    steep = torch.tensor(slope, device=start.device, requires_grad=True)
    threshold = start.detach().clone().requires_grad_(True)
    groups: list[dict[str, Any]] = [
        {"params": [steep], "lr": SLOPE_RATE},
        {"params": [threshold], "lr": THRESHOLD_RATE},
    ]
    optimiser = torch.optim.Adam(groups)
    for _ in range(steps):
        loss = torch.zeros((), device=start.device)
        for share, one in curves:
            trust = torch.sigmoid(steep * (one.scores - threshold))
            loss = loss + share * _interpolate(one.errors, trust).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            steep.clamp_(1.0, 200.0)
    return steep.item(), threshold.item()


def _interpolate(errors: Tensor, trust: Tensor) -> Tensor:
    """Errors (n, len(TRUSTS)) at trusts (n,), linear between the measured ones."""
    place = trust * (len(TRUSTS) - 1)
    low = place.detach().floor().clamp(max=len(TRUSTS) - 2).long()
    before = errors.gather(1, low[:, None])[:, 0]
    after = errors.gather(1, low[:, None] + 1)[:, 0]
    return torch.lerp(before, after, place - low)


def train_guard(run: GeneratorRun, config: GuardConfig) -> Guard:
    """A guard for a finished generator."""
    data, g_s = run.sources.captioned, run.result()
    guard = Guard(config.size, run.parts.levels)
    vectors = torch.from_numpy(data.pictures.vectors[: data.known]).to(run.device)
    contrast = Contrast(config, _views(run, g_s, guard.side, config.stride), vectors)
    while contrast.step < contrast.steps:
        contrast.train_step()
    assert isinstance(contrast.model, Matcher)
    guard.matcher = contrast.model
    guard.requires_grad_(False).eval().to(run.device)
    last = min(data.known + config.pictures, len(data.pictures))
    held_out = np.arange(data.known, last)
    chunks = [held_out[start : start + CHUNK] for start in range(0, len(held_out), CHUNK)]
    # The first captions are told: the second ones say whether that helped.
    true = [
        torch.from_numpy(data.pictures.vectors[rows, 1]).to(run.device).float() for rows in chunks
    ]
    shares = (1 - config.wrong - config.generic, config.wrong, config.generic)
    for level in range(run.parts.levels):
        with torch.no_grad():
            curves = [_curves(guard, run, g_s, one, true) for one in _kinds(run, chunks, level)]
        found = fit_trust(list(zip(shares, curves, strict=True)), 20.0, config.fit_steps)
        guard.slope[level], guard.threshold[level] = found
    return guard


def _kinds(
    run: GeneratorRun, chunks: list[NDArray[np.int64]], level: int
) -> tuple[list[Batch], list[Batch], list[Batch]]:
    """Held-out pictures at a level with their own captions, with others', and with generic ones."""
    data, encoder = run.sources.captioned, run.recipe.text_encoder
    own = [run.told(data, rows, level, 0) for rows in chunks]
    wrong = [run.told(data, rows, level, data.known // 2) for rows in chunks]
    generic = [
        _saying(batch, encoder, [GENERIC[row % len(GENERIC)] for row in rows])
        for batch, rows in zip(own, chunks, strict=True)
    ]
    return own, wrong, generic
