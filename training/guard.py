"""Training of the guard: which pictures and captions belong together, and how far to trust the score.

Two steps, after the generator. The guard's matcher learns contrastively on thumbnails of the frozen
latents and their captions; it sees every picture also as it was, since a large picture's thumbnail is
as sharp. Then slope and threshold are fitted on pictures that neither it nor the generator has seen: the
least feature distance of generated pictures to be expected where a few captions are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from shared.networks.guard import Guard
from shared.networks.matcher import MatcherSize
from shared.networks.stages import Conditioning
from shared.networks.transforms import Synthesis
from shared.pictures import LUMA_WEIGHTS
from training.captioned import CaptionedPictures
from training.contrast import Contrast, ContrastSettings, squares
from training.terms.features import Features
from training.terms.step import Batch

__all__ = ["GuardConfig", "GuardData", "TrustCurves", "fit_trust", "train_guard"]

#: Trusts at which the generator's error is measured for the fit; between them it is interpolated.
TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Adam's rates in the fit; slopes are a few tens, thresholds are cosines.
SLOPE_RATE, THRESHOLD_RATE = 1.0, 5e-3
#: Thumbnails made at a time, and pictures generated at a time.
CHUNK, BATCH = 64, 8


class GuardConfig(ContrastSettings):
    """How the guard is trained.

    Attributes:
        wrong: share of captions that are taken to belong to another picture.
    """

    seed: int = 1
    size: MatcherSize = MatcherSize(widths=(24, 48, 80, 128, 192), channels=1)
    steps: int = Field(480, ge=1)
    weight_decay: float = 0.2
    brightness: float = 0.08
    wrong: float = Field(0.15, gt=0, lt=1)
    fit_steps: int = Field(400, ge=1)
    features: str = Field("features", description="shipped matcher whose maps measure distance")


@dataclass(frozen=True)
class GuardData:
    """A generator that is to be guarded, and what it was trained on.

    Attributes:
        known: the first pictures, which the guard learns from; it is calibrated on the others.
        latents: one array a level.
        g_s: the generator.
        batch: rows, levels, captions and who is told -> a batch.
        generate: what the generator makes of a batch.
    """

    pictures: CaptionedPictures
    known: int
    latents: Sequence[NDArray[np.float16]]
    g_s: Synthesis
    batch: Callable[..., Batch]
    generate: Callable[[Batch, Conditioning], Tensor]
    device: torch.device


@torch.no_grad()
def _views(data: GuardData, side: int) -> Tensor:
    """Luma (V, count, 1, side, side) uint8: a thumbnail of every level, and the picture itself."""
    count = data.known
    pictures = data.pictures.pictures[:count]
    weights = torch.tensor(LUMA_WEIGHTS)[:, None, None]
    made = []
    for level, latents in enumerate(data.latents):
        for start in range(0, count, CHUNK):
            part = np.array(latents[start : min(start + CHUNK, count)])
            y_hat = torch.from_numpy(part)
            quality = torch.full((len(y_hat),), level, device=data.device)
            thumbnail = data.g_s.thumbnail(y_hat.to(data.device).float(), quality, side)
            made.append(squares(thumbnail.cpu() * 255, side))
    for start in range(0, count, CHUNK):
        x = torch.from_numpy(pictures[start : start + CHUNK]).permute(0, 3, 1, 2)
        made.append(squares((x * weights).sum(1, keepdim=True), side))
    return torch.cat(made).reshape(-1, count, 1, side, side)


@dataclass(frozen=True)
class TrustCurves:
    """What trusting a caption costs, on held-out pictures.

    Attributes:
        scores: (n,) cosine of picture and caption.
        errors: (n, len(TRUSTS)) feature distance of the generated picture to the original, as a share
            of the one without words: on a stream with colour, squared error hardly hears any.
    """

    scores: Tensor
    errors: Tensor


@torch.no_grad()
def _curves(
    guard: Guard,
    data: GuardData,
    features: Features,
    index: NDArray[np.int64],
    captions: NDArray[np.float16],
) -> TrustCurves:
    scores, errors = [], []
    for start in range(0, len(index), BATCH):
        rows = index[start : start + BATCH]
        told = np.ones(len(rows), np.bool_)
        quality = rows % len(data.latents)
        batch = data.batch(rows, quality, captions[start : start + BATCH], told)
        assert batch.y_hat is not None
        assert batch.text is not None
        thumbnail = data.g_s.thumbnail(batch.y_hat, batch.quality, guard.side)
        scores.append(guard.score(thumbnail, batch.text))
        columns = []
        for trust in TRUSTS:
            given = Conditioning(batch.text, torch.full((len(rows),), trust, device=data.device))
            columns.append(features.distance(data.generate(batch, given).clamp(0, 1), batch.x))
        error = torch.stack(columns, 1)
        errors.append(error / error[:, :1])
    return TrustCurves(torch.cat(scores), torch.cat(errors))


def fit_trust(guard: Guard, matched: TrustCurves, wrong: TrustCurves, config: GuardConfig) -> None:
    """Slope and threshold with the least expected error over both kinds of caption."""
    slope = guard.slope.detach().clone().requires_grad_(True)
    threshold = guard.threshold.detach().clone()
    threshold.copy_((matched.scores.mean() + wrong.scores.mean()) / 2)
    threshold.requires_grad_(True)
    groups: list[dict[str, Any]] = [
        {"params": [slope], "lr": SLOPE_RATE},
        {"params": [threshold], "lr": THRESHOLD_RATE},
    ]
    optimiser = torch.optim.Adam(groups)
    for _ in range(config.fit_steps):
        loss = torch.zeros((), device=slope.device)
        for curves, share in ((matched, 1 - config.wrong), (wrong, config.wrong)):
            trust = torch.sigmoid(slope * (curves.scores - threshold))
            loss = loss + share * _interpolate(curves.errors, trust).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            slope.clamp_(1.0, 200.0)
    with torch.no_grad():
        guard.slope.copy_(slope)
        guard.threshold.copy_(threshold)


def _interpolate(errors: Tensor, trust: Tensor) -> Tensor:
    """Errors (n, len(TRUSTS)) at trusts (n,), linear between the measured ones."""
    place = trust * (len(TRUSTS) - 1)
    low = place.detach().floor().clamp(max=len(TRUSTS) - 2).long()
    before = errors.gather(1, low[:, None])[:, 0]
    after = errors.gather(1, low[:, None] + 1)[:, 0]
    return torch.lerp(before, after, place - low)


def train_guard(data: GuardData, config: GuardConfig) -> Guard:
    """A guard for a finished generator."""
    known = data.known
    guard = Guard(config.size)
    vectors = data.pictures.vectors
    contrast = Contrast(config, _views(data, guard.side), torch.from_numpy(vectors[:known]))
    while contrast.step < contrast.steps:
        contrast.train_step()
    guard.matcher = contrast.model
    guard.requires_grad_(False).eval().to(data.device)
    index = np.arange(known, len(data.pictures))
    own = vectors[index, index % vectors.shape[1]]
    features = Features.shipped(1.0, config.features, data.device)
    matched = _curves(guard, data, features, index, own)
    wrong = _curves(guard, data, features, index, np.roll(own, len(own) // 2, 0))
    fit_trust(guard, matched, wrong, config)
    return guard
