"""Training of a picture-to-sentence matcher: pictures and captions of one folder, contrastively.

Symmetric InfoNCE (Radford et al., "Learning Transferable Visual Models From Natural Language
Supervision", 2021) against frozen sentence vectors. Two are trained: ``features``, whose maps stand in the
generator's loss, and ``judge``, which only measures. They differ in seed, widths and weights; data and text
space are the same.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

from shared.levels import LUMA_WEIGHTS
from shared.matcher_bundle import MatcherManifest, MatcherProvenance, Retrieval, save_matcher
from shared.networks.matcher import Matcher, MatcherSize
from training.captioned import CaptionedPictures
from training.muon import matrices_of, muon_and_adamw

__all__ = [
    "ContrastiveConfig",
    "MatcherConfig",
    "MatcherRun",
    "contrastive_loss",
    "learn",
    "retrieval",
    "squares",
    "train_matcher",
]

#: Starting temperature and its bound, as CLIP.
TEMPERATURE, COLDEST = 0.07, 0.01
LOG_EVERY = 40
#: Pictures squashed at a time.
CHUNK = 256


class ContrastiveConfig(BaseModel):
    """How a matcher learns from pictures that are at hand.

    Attributes:
        crop: of the matcher's square, what a training step sees (pixels).
        brightness: standard deviation of a random gain of all channels alike; colours stay.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    size: MatcherSize
    steps: int = Field(ge=1)
    batch: int = Field(192, ge=2)
    crop: int = Field(96, ge=32)
    learning_rate: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(30, ge=0)
    weight_decay: float = Field(0.05, ge=0)
    brightness: float = Field(0.05, ge=0)


class MatcherConfig(ContrastiveConfig):
    """Settings of a matcher's run."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    train: str
    validation: str
    text_encoder: str = "minilm"

    def digest(self) -> str:
        """Hash of the settings, for provenance."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def contrastive_loss(pictures: Tensor, sentences: Tensor, log_scale: Tensor) -> Tensor:
    """Symmetric InfoNCE of unit vectors (B, D) each, row i belonging to row i; nats."""
    scale = log_scale.clamp(max=-math.log(COLDEST)).exp()
    logits = scale * pictures @ sentences.T
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def squares(pictures: Tensor, side: int) -> Tensor:
    """Pictures (N, C, H, W) in 0..255 squashed to (N, C, side, side) uint8, channels last in memory."""
    small = F.interpolate(pictures.float(), (side, side), mode="bilinear", antialias=True)
    small = small.round().clamp(0, 255).to(torch.uint8)
    return small.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def retrieval(model: Matcher, pictures: Tensor, sentences: Tensor) -> Retrieval:
    """How often a picture is found by a caption, and how the cosine falls when it is made grey.

    Args:
        model: the matcher.
        pictures: (N, 3, side, side) uint8.
        sentences: (N, 5, D) float vectors.
    """
    model.eval()
    x = pictures.float().div(255)
    luma = (x * torch.tensor(LUMA_WEIGHTS)[:, None, None]).sum(1, keepdim=True).expand_as(x)
    colour, grey = _vectors(model, x), _vectors(model, luma)
    words = F.normalize(sentences.float(), dim=2)
    own = torch.arange(len(x))

    def recall(vectors: Tensor, k: int) -> float:
        scores = torch.einsum("nkd,md->nkm", words, vectors)
        better = (scores > scores[own, :, own][:, :, None]).sum(2)
        return float((better < k).float().mean())

    def cosine(vectors: Tensor) -> float:
        return float((vectors[:, None] * words).sum(2).mean())

    return Retrieval(
        pictures=len(x),
        r1=round(recall(colour, 1), 4),
        r5=round(recall(colour, 5), 4),
        r10=round(recall(colour, 10), 4),
        r10_grey=round(recall(grey, 10), 4),
        cosine=round(cosine(colour), 4),
        cosine_grey=round(cosine(grey), 4),
        cosine_mismatched=round(cosine(colour.roll(1, 0)), 4),
    )


def _vectors(model: Matcher, x: Tensor) -> Tensor:
    return torch.cat([model(x[start : start + 64]) for start in range(0, len(x), 64)])


class MatcherRun:
    """One run: model, optimisers and the data that it draws from ``(seed, step)``.

    Args:
        config: how it learns.
        views: (V, N, C, side, side) uint8; a step sees each of its pictures in one of V versions.
        sentences: (N, 5, D).
    """

    def __init__(self, config: ContrastiveConfig, views: Tensor, sentences: Tensor) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.views = views
        self.sentences = sentences
        self.model = Matcher(config.size).to(memory_format=torch.channels_last)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))
        self.decayed = matrices_of(self.model)
        self.optimisers = muon_and_adamw(self.model, config.learning_rate, [self.log_scale])
        self.step = 0

    def rate(self) -> float:
        """Learning rate of this step: warm-up, then a linear fall to zero."""
        config = self.config
        rise = min(1.0, (self.step + 1) / max(1, config.warmup_steps))
        return config.learning_rate * rise * (1 - self.step / config.steps)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Pictures (B, C, crop, crop) in 0..1, cut and mirrored at random, and one caption each."""
        config = self.config
        rng = np.random.default_rng([config.seed, self.step])
        versions, count = self.views.shape[:2]
        index = torch.from_numpy(rng.permutation(count)[: config.batch])
        spare = config.size.side - config.crop
        top, left = rng.integers(0, spare + 1, 2).tolist()
        version = np.random.default_rng([config.seed, self.step, 1]).integers(
            versions, size=len(index)
        )
        whole = self.views[torch.from_numpy(version), index]
        x = whole[:, :, top : top + config.crop, left : left + config.crop].float().div(255)
        mirrored = torch.from_numpy(rng.random(len(index)) < 0.5)
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
        gain = torch.from_numpy(rng.normal(1, config.brightness, len(index))).float()
        x = (x * gain[:, None, None, None]).clamp(0, 1)
        caption = torch.from_numpy(rng.integers(0, self.sentences.shape[1], len(index)))
        words = F.normalize(self.sentences[index, caption].float(), dim=1)
        return x.to(memory_format=torch.channels_last), words

    def train_step(self) -> float:
        """One step; returns the loss in nats."""
        self.model.train()
        x, words = self.batch()
        with torch.autocast("cpu", torch.bfloat16):
            vectors = self.model(x)
        loss = contrastive_loss(vectors.float(), words, self.log_scale)
        self.model.zero_grad(set_to_none=True)
        self.log_scale.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        rate = self.rate()
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
        with torch.no_grad():
            for parameter in self.decayed:
                parameter.mul_(1 - rate * self.config.weight_decay)
        self.step += 1
        return float(loss.item())


def learn(run: MatcherRun, found: Callable[[], str] = str) -> None:
    """All steps of a run, and now and then a line: step, mean loss, and what ``found`` says.

    Raises:
        FloatingPointError: the loss is not a number any more.
    """
    console = Console()
    losses: list[float] = []
    while run.step < run.config.steps:
        losses.append(run.train_step())
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"loss is {losses[-1]} at step {run.step}")
        if run.step % LOG_EVERY == 0:
            mean, losses = sum(losses) / len(losses), []
            console.print(f"step {run.step} loss {mean:.3f} {found()}".rstrip(), highlight=False)


def train_matcher(
    config: MatcherConfig, data: Path, cache: Path, bundle: Path, workers: int
) -> MatcherManifest:
    """Train from the start, measure on the validation pictures, write the bundle.

    Raises:
        FileNotFoundError: no training data.
    """

    def load(pattern: str) -> tuple[Tensor, Tensor, str]:
        held = CaptionedPictures.load(data, pattern, cache, config.text_encoder, workers)
        pictures = torch.from_numpy(held.pictures).permute(0, 3, 1, 2)
        starts = range(0, len(pictures), CHUNK)
        small = torch.cat([squares(pictures[i : i + CHUNK], config.size.side) for i in starts])
        return small, torch.from_numpy(held.vectors), held.digest

    seen, said, digest = load(config.train)
    unseen, unsaid, _ = load(config.validation)
    run = MatcherRun(config, seen[None], said)
    started = time.monotonic()

    def found() -> str:
        now = retrieval(run.model, unseen, unsaid)
        return f"R@10 {now.r10:.3f} grey {now.r10_grey:.3f} {time.monotonic() - started:.0f} s"

    learn(run, found)
    manifest = MatcherManifest(
        codec=config.name,
        tensors_sha256="",
        size=config.size,
        text_encoder=config.text_encoder,
        provenance=MatcherProvenance(
            config=config.name,
            config_digest=config.digest(),
            data_digest=digest,
            seed=config.seed,
            steps=run.step,
            hours=round((time.monotonic() - started) / 3600, 2),
            validation=retrieval(run.model, unseen, unsaid),
        ),
    )
    return save_matcher(bundle, manifest, run.model.state_dict())
