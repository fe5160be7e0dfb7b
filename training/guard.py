"""Training of the guard: which pictures and captions belong together, and how far to trust the score.

Two steps, after the generator. The guard's matcher learns contrastively on thumbnails of the frozen
latents and their captions; it sees every picture also as it was, since a large picture's thumbnail is
as sharp. Then slope and threshold are fitted on pictures that neither it nor the generator has seen: the
least squared error of generated pictures to be expected where a few captions are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from shared.levels import LUMA_WEIGHTS
from shared.networks.guard import Guard
from shared.networks.matcher import MatcherSize
from shared.networks.ssa import Conditioning
from shared.networks.transforms import Y_STRIDE
from training.matcher import ContrastiveConfig, MatcherRun, learn, squares
from training.stage2 import GeneratorData, Stage2Run

__all__ = ["GuardConfig", "TrustCurves", "fit_trust", "train_guard"]

#: Trusts at which the generator's error is measured for the fit; between them it is interpolated.
TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Adam's rates in the fit; slopes are a few tens, thresholds are cosines.
SLOPE_RATE, THRESHOLD_RATE = 1.0, 5e-3
#: Thumbnails made at a time.
CHUNK = 64


class GuardConfig(ContrastiveConfig):
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


@torch.no_grad()
def _views(run: Stage2Run, data: GeneratorData, count: int, side: int) -> Tensor:
    """Luma (V, count, 1, side, side) uint8: a thumbnail of every level, and the picture itself."""
    pictures = data.pictures.pictures[:count]
    height, width = pictures.shape[1:3]
    rows, columns = -(-height // Y_STRIDE), -(-width // Y_STRIDE)
    weights = torch.tensor(LUMA_WEIGHTS)[:, None, None]
    made = []
    for level, latents in enumerate(data.latents):
        for start in range(0, count, CHUNK):
            part = np.array(latents[start : min(start + CHUNK, count), :, :rows, :columns])
            y_hat = torch.from_numpy(part)
            quality = torch.full((len(y_hat),), level, device=run.device)
            thumbnail = run.averaged.thumbnail(y_hat.to(run.device).float(), quality, side)
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
        errors: (n, len(TRUSTS)) squared error of the generated picture, as a share of the one
            without words.
    """

    scores: Tensor
    errors: Tensor


@torch.no_grad()
def _curves(
    guard: Guard,
    run: Stage2Run,
    data: GeneratorData,
    index: NDArray[np.int64],
    captions: NDArray[np.float16],
) -> TrustCurves:
    device, size = run.device, run.config.batch
    scores, errors = [], []
    for start in range(0, len(index), size):
        rows = index[start : start + size]
        quality = rows % len(data.latents)
        told = np.ones(len(rows), np.bool_)
        batch = data.batch(rows, quality, captions[start : start + size], told, device)
        thumbnail = run.averaged.thumbnail(batch.y_hat, batch.quality, guard.side)
        scores.append(guard.score(thumbnail, batch.text))
        columns = []
        for trust in TRUSTS:
            words = Conditioning(batch.text, torch.full((len(rows),), trust, device=device))
            x_hat = run.generate(run.averaged, batch, words).clamp(0, 1)
            columns.append((x_hat - batch.x).square().flatten(1).mean(1))
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


def train_guard(run: Stage2Run, data: GeneratorData, config: GuardConfig | None = None) -> Guard:
    """A guard for the generator of a finished run."""
    config = config or GuardConfig()
    known = len(data.pictures) - run.config.held_out
    guard = Guard(config.size)
    views = _views(run, data, known, guard.side)
    contrast = MatcherRun(config, views, torch.from_numpy(data.pictures.vectors[:known]))
    learn(contrast)
    guard.matcher = contrast.model
    guard.requires_grad_(False).eval().to(run.device)
    index = np.arange(known, len(data.pictures))
    own = data.pictures.vectors[index, index % data.pictures.vectors.shape[1]]
    matched = _curves(guard, run, data, index, own)
    wrong = _curves(guard, run, data, index, np.roll(own, len(own) // 2, 0))
    fit_trust(guard, matched, wrong, config)
    return guard
