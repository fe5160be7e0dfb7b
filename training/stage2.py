"""Stage 2: a generator that reads the words, trained on the latents of a frozen stream.

Qin et al. (2024), section 3.3, with HiFiC's constants: ``k_M * MSE + k_P * d + beta * L_adv``. The rate
terms are constant here, as encoder and entropy model stand still. First squared error alone; then D by
itself, while G waits; then all of it. The no-text twin is the same run with ``generator_text`` off: same
size, same steps, same pictures.

Every step draws its pictures, captions and silences from ``(seed, step)``, so that a run resumed from a
checkpoint goes on as an unbroken one would, and variants see the same pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from shared.codecs.base import HyperpriorCodec
from shared.networks.generator import SsaGenerator
from shared.networks.ssa import Conditioning
from shared.networks.transforms import Y_STRIDE, Synthesis
from training.adversarial import discriminator_loss, generator_loss, mismatched_rows
from training.captioned import CaptionedPictures
from training.checkpoint import write_state
from training.discriminator import Discriminator, small_discriminator
from training.latents import frozen_latents
from training.muon import muon_and_adamw
from training.stage2_config import Stage2Config

__all__ = ["Batch", "GeneratorData", "Perceptual", "Stage2Run"]

#: Distance of two pictures (B, 3, H, W) in 0..1, a scalar.
Perceptual = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        x: (B, 3, H, W) in 0..1.
        y_hat: (B, M, ceil(H/16), ceil(W/16)).
        quality: (B,) levels of the generator.
        captions: (B, D), what was said of the pictures.
        text: (B, D), what is told: the captions, or zero rows.
    """

    x: Tensor
    y_hat: Tensor
    quality: Tensor
    captions: Tensor
    text: Tensor


@dataclass(frozen=True)
class GeneratorData:
    """Pictures, words and frozen latents, one array a level."""

    pictures: CaptionedPictures
    latents: Sequence[NDArray[np.float16]]

    @classmethod
    def load(
        cls, config: Stage2Config, codec: HyperpriorCodec, pictures: CaptionedPictures, cache: Path
    ) -> GeneratorData:
        """Latents of every level, made where the cache lacks them."""
        return cls(
            pictures, [frozen_latents(codec, pictures, level, cache) for level in config.levels]
        )

    def batch(
        self,
        index: NDArray[np.int64],
        quality: NDArray[np.int64],
        captions: NDArray[np.float16],
        told: NDArray[np.bool_],
        device: torch.device,
    ) -> Batch:
        """Some pictures at some levels, with or without their captions."""
        height, width = self.pictures.pictures.shape[1:3]
        rows, columns = -(-height // Y_STRIDE), -(-width // Y_STRIDE)
        latents = np.stack(
            [self.latents[q][i, :, :rows, :columns] for i, q in zip(index, quality, strict=True)]
        )
        x = torch.from_numpy(self.pictures.pictures[index]).to(device).permute(0, 3, 1, 2)
        words = torch.from_numpy(captions).to(device).float()
        return Batch(
            x.float().div(255),
            torch.from_numpy(latents).to(device).float(),
            torch.from_numpy(quality).to(device),
            words,
            words * torch.from_numpy(told).to(device)[:, None],
        )

    def draw(self, config: Stage2Config, step: int, device: torch.device) -> Batch:
        """The batch of a step: levels in turn, a random caption of the five, now and then none."""
        rng = np.random.default_rng([config.seed, step])
        index = rng.integers(len(self.pictures) - config.held_out, size=config.batch)
        quality = (np.arange(config.batch) + step) % len(config.levels)
        vectors = self.pictures.vectors
        captions = vectors[index, rng.integers(vectors.shape[1], size=config.batch)]
        told = rng.random(config.batch) >= config.text_dropout
        return self.batch(index, quality, captions, told, device)


class Stage2Run:
    """Generator, discriminator, moving average, optimisers and position of one run."""

    def __init__(
        self,
        config: Stage2Config,
        synthesis: Synthesis,
        perceptual: Perceptual | None,
        device: torch.device,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = device
        self.perceptual = perceptual
        generator = SsaGenerator(config.size)
        generator.start_from(synthesis, [level.quality for level in config.levels])
        self.generator = generator.to(device).to(memory_format=torch.channels_last)
        discriminator_size = small_discriminator(
            config.size.latent, config.size.text_width, use_text=config.discriminator_text
        )
        self.discriminator = Discriminator(discriminator_size).to(device)
        averaging = get_ema_multi_avg_fn(config.average)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(generator, multi_avg_fn=averaging)
        self.step = 0
        self.seconds = 0.0
        self.optimisers = muon_and_adamw(generator, config.learning_rate)
        self.discriminator_optimiser = torch.optim.AdamW(
            self.discriminator.parameters(),
            lr=config.discriminator_rate,
            betas=(0.5, 0.9),
            weight_decay=0.0,
        )

    @property
    def averaged(self) -> SsaGenerator:
        """The moving average of the weights, as a model."""
        model = self.average.module
        assert isinstance(model, SsaGenerator)
        return model

    def words(self, text: Tensor) -> Conditioning:
        """What this variant's generator is told of ``text``."""
        return Conditioning(text if self.config.generator_text else torch.zeros_like(text))

    def generate(self, model: SsaGenerator, batch: Batch, words: Conditioning) -> Tensor:
        """Pictures (B, 3, H, W) around 0..1, cut to the true size."""
        with torch.autocast(self.device.type, torch.bfloat16):
            y_hat = batch.y_hat.to(memory_format=torch.channels_last)
            x_hat: Tensor = model(y_hat, batch.quality, words)
        return x_hat[..., : batch.x.shape[2], : batch.x.shape[3]].float() + 0.5

    def train_step(self, data: GeneratorData) -> float:
        """One step of whichever phase it is. Returns G's loss, or D's where G stands still."""
        torch.manual_seed(hash((self.config.seed, self.step)))
        batch = data.draw(self.config, self.step, self.device)
        g_learns = not self.config.distortion_steps <= self.step < self.config.adversarial_from
        d_learns = self.step >= self.config.distortion_steps
        with torch.set_grad_enabled(g_learns):
            x_hat = self.generate(self.generator, batch, self.words(batch.text))
        loss = self._discriminate(batch, x_hat.detach()) if d_learns else 0.0
        if g_learns:
            loss = self._generate_better(batch, x_hat, adversarial=d_learns)
        self.step += 1
        return loss

    def _generate_better(self, batch: Batch, x_hat: Tensor, *, adversarial: bool) -> float:
        """One step of G. Returns its loss."""
        config = self.config
        loss = config.distortion_weight * 255**2 * (x_hat - batch.x).square().mean()
        if adversarial:
            loss = loss + self._perceptual_loss(batch, x_hat)
        self.generator.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.generator.parameters(), config.clip_norm)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * config.rate_factor(self.step)
            optimiser.step()
        self.average.update_parameters(self.generator)
        return float(loss.item())

    def _perceptual_loss(self, batch: Batch, x_hat: Tensor) -> Tensor:
        loss = torch.zeros((), device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            if self.perceptual is not None:
                loss = loss + self.config.perceptual_weight * self.perceptual(x_hat, batch.x)
            fooled = generator_loss(self.discriminator, x_hat, batch.y_hat, batch.text)
        return loss + self.config.adversarial_weight * fooled

    def _discriminate(self, batch: Batch, x_hat: Tensor) -> float:
        """One step of D on eq. 6. Returns its loss."""
        generator = torch.Generator().manual_seed(hash((self.config.seed, 1, self.step)))
        wrong = batch.captions[mismatched_rows(len(x_hat), generator).to(self.device)]
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = discriminator_loss(
                self.discriminator, batch.x, x_hat, batch.y_hat, batch.text, wrong
            ).total
        self.discriminator_optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.discriminator_optimiser.step()
        return float(loss.item())

    @torch.no_grad()
    def validate(self, data: GeneratorData, pictures: int) -> list[tuple[float, float, float]]:
        """PSNR with a picture's own words, without words and with another's, a row a level."""
        rows = []
        count = min(pictures, len(data.pictures))
        own = data.pictures.vectors[:count, 0]
        told, silent = np.ones(count, np.bool_), np.zeros(count, np.bool_)
        modes = ((own, told), (own, silent), (np.roll(own, 1, 0), told))
        for level in range(len(self.config.levels)):
            values = np.zeros((3, count))
            for start in range(0, count, self.config.batch):
                index = np.arange(start, min(start + self.config.batch, count))
                quality = np.full_like(index, level)
                for row, (captions, given) in zip(values, modes, strict=True):
                    batch = data.batch(index, quality, captions[index], given[index], self.device)
                    x_hat = self.generate(self.averaged, batch, self.words(batch.text))
                    error = (x_hat.clamp(0, 1) - batch.x).square().flatten(1).mean(1)
                    row[index] = -10 * torch.log10(error).cpu().numpy()
            matched, none, mismatched = values.mean(1).tolist()
            rows.append((matched, none, mismatched))
        return rows

    # -- checkpoints ----------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write everything that a resumed run needs; the file is replaced whole."""
        state = {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "discriminator_optimiser": self.discriminator_optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        write_state(path, state)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of this run, or of one that shares its first phase."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = state["step"]
        self.seconds = state["seconds"]
        if self.step > self.config.distortion_steps:
            self.discriminator.load_state_dict(state["discriminator"])
            self.discriminator_optimiser.load_state_dict(state["discriminator_optimiser"])
