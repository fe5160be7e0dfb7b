"""Training of the guard: which pictures and captions belong together, and how far to trust the score.

Two steps, after the generator. The guard's network learns contrastively (InfoNCE, van den Oord et al.
2018) on the frozen latents and their captions. Then slope and threshold are fitted on pictures that
neither it nor the generator has seen: the squared error of generated pictures, half of them with
their own caption and half with another's, as small as it gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.guard import Guard, GuardSize
from shared.networks.ssa import Conditioning
from training.stage2 import GeneratorData, Stage2Run

__all__ = ["GuardSettings", "TrustCurves", "fit_trust", "train_guard"]

#: Trusts at which the generator's error is measured for the fit; between them it is interpolated.
TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Adam's rates in the fit; slopes are a few tens, thresholds are cosines.
SLOPE_RATE, THRESHOLD_RATE = 1.0, 5e-3


@dataclass(frozen=True)
class GuardSettings:
    """How the guard is trained."""

    steps: int = 1500
    batch: int = 96
    learning_rate: float = 1e-3
    temperature: float = 0.05
    #: Share of y_hat's channels that a step does not see: 7,000 pictures are few.
    channel_dropout: float = 0.1
    fit_steps: int = 400
    seed: int = 1


def _contrast(guard: Guard, data: GeneratorData, held_out: int, settings: GuardSettings) -> None:
    """Each picture's caption must be its nearest in the batch, and the other way round."""
    torch.manual_seed(settings.seed)
    optimiser = torch.optim.AdamW(
        [*guard.gain.parameters(), *guard.body.parameters(), *guard.place.parameters()],
        lr=settings.learning_rate,
        weight_decay=0.05,
    )
    device = next(guard.parameters()).device
    known = len(data.pictures) - held_out
    for step in range(settings.steps):
        rng = np.random.default_rng([settings.seed, 2, step])
        index = rng.choice(known, min(settings.batch, known), replace=False)
        quality = rng.integers(len(data.latents), size=len(index))
        captions = data.pictures.vectors[
            index, rng.integers(data.pictures.vectors.shape[1], size=len(index))
        ]
        batch = data.batch(index, quality, captions, np.ones(len(index), np.bool_), device)
        y_hat = F.dropout2d(batch.y_hat, settings.channel_dropout)
        with torch.autocast(device.type, torch.bfloat16):
            placed = guard.embed(y_hat, batch.quality)
        scores = placed @ F.normalize(batch.text, dim=1).T / settings.temperature
        target = torch.arange(len(index), device=device)
        loss = F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - step / settings.steps)
        optimiser.step()


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
        placed = guard.embed(batch.y_hat, batch.quality)
        scores.append((placed * F.normalize(batch.text, dim=1)).sum(1))
        columns = []
        for trust in TRUSTS:
            words = Conditioning(batch.text, torch.full((len(rows),), trust, device=device))
            x_hat = run.generate(run.averaged, batch, words).clamp(0, 1)
            columns.append((x_hat - batch.x).square().flatten(1).mean(1))
        error = torch.stack(columns, 1)
        errors.append(error / error[:, :1])
    return TrustCurves(torch.cat(scores), torch.cat(errors))


def fit_trust(
    guard: Guard, matched: TrustCurves, wrong: TrustCurves, settings: GuardSettings
) -> None:
    """Slope and threshold with the least mean error over both kinds of caption."""
    slope = guard.slope.detach().clone().requires_grad_(True)
    threshold = guard.threshold.detach().clone()
    threshold.copy_((matched.scores.mean() + wrong.scores.mean()) / 2)
    threshold.requires_grad_(True)
    groups: list[dict[str, Any]] = [
        {"params": [slope], "lr": SLOPE_RATE},
        {"params": [threshold], "lr": THRESHOLD_RATE},
    ]
    optimiser = torch.optim.Adam(groups)
    for _ in range(settings.fit_steps):
        loss = torch.zeros((), device=slope.device)
        for curves in (matched, wrong):
            trust = torch.sigmoid(slope * (curves.scores - threshold))
            loss = loss + _interpolate(curves.errors, trust).mean()
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


def train_guard(
    run: Stage2Run, data: GeneratorData, settings: GuardSettings | None = None
) -> tuple[Guard, GuardSize]:
    """A guard for the generator of a finished run."""
    settings = settings or GuardSettings()
    config = run.config
    size = GuardSize(
        levels=len(config.levels), latent=config.size.latent, text_width=config.size.text_width
    )
    guard = Guard(size).to(run.device)
    _contrast(guard, data, config.held_out, settings)
    guard.eval()
    index = np.arange(len(data.pictures) - config.held_out, len(data.pictures))
    own = data.pictures.vectors[index, index % data.pictures.vectors.shape[1]]
    matched = _curves(guard, run, data, index, own)
    wrong = _curves(guard, run, data, index, np.roll(own, len(own) // 2, 0))
    nn.Module.requires_grad_(guard, False)
    fit_trust(guard, matched, wrong, settings)
    return guard, size
