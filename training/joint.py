"""The `joint` recipe: encoder and generator learn together, and the words stand where they are put.

Qin et al. (2024) train E, P and G together with the text, so that bits can move to what the caption
does not say. Our reading keeps P's decoder half, h_mu, the integer scale branch and the tables: they are
the stream's identity, and with them every receiver still reads the symbols. h_a stands as well, and g_a
learns against the rate that P charges: the code length of rounded z by the frozen tables, and of noisy
y by the Gaussian that the integer index names.

Three places for the words, one architecture: nowhere, at the decoder, at both ends. Their difference is
the Wyner-Ziv gap.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from shared.codecs.base import HyperpriorCodec
from shared.entropy.scale_branch import SCALE_LEVELS
from shared.entropy.tables import FREQUENCY_TOTAL, FrozenTables
from shared.networks.generator import GeneratorSize, SsaGenerator
from shared.networks.ssa import Conditioning
from shared.networks.told_analysis import ToldAnalysis
from shared.networks.transforms import Z_STRIDE
from training.captioned import CaptionedPictures
from training.checkpoint import write_state
from training.gaussian import bin_probability
from training.muon import muon_and_adamw
from training.scale_branch import round_ste
from training.stage1 import LATENT_LIKELIHOOD_FLOOR, lambdas

__all__ = ["JointConfig", "JointModel", "JointRun", "TextAt"]

TextAt = Literal["nowhere", "decoder", "both"]


class JointConfig(BaseModel):
    """Settings of a joint run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("ssa", pattern=r"^[a-z][a-z0-9-]*$")
    seed: int = 1
    stream: str = Field(
        "base", description="shipped bundle that E and G start from and whose P stands"
    )
    text_at: TextAt
    qualities: tuple[int, ...] = Field(description="levels of the stream")
    size: GeneratorSize
    text_encoder: str = "minilm"
    text_dropout: float = Field(0.15, ge=0, lt=1)
    lambda_lowest: float = Field(1e-4, gt=0, description="of the stream's quality 0")
    lambda_highest: float = Field(3e-2, gt=0, description="of the stream's highest quality")
    train: str
    validation: str
    held_out: int = Field(400, ge=0)
    batch: int = Field(8, ge=1)
    steps: int = Field(ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    encoder_rate: float = Field(0.2, gt=0, description="of g_a, as a share of the generator's")
    warmup_steps: int = Field(50, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.998, ge=0, lt=1)

    def digest(self) -> str:
        """Hash of the settings, for provenance."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class FrozenPrior(nn.Module):
    """Code length of z by the stream's tables, between integers on a straight line."""

    costs: Tensor

    def __init__(self, tables: FrozenTables, levels: int, channels: int, reach: int = 64) -> None:
        super().__init__()
        symbols = np.arange(-reach, reach + 1)
        costs = np.empty((levels * channels, len(symbols)), np.float32)
        for row in range(levels * channels):
            table = SCALE_LEVELS + row
            frequencies = tables[table]
            place = np.clip(symbols - tables.lows[table], 0, len(frequencies) - 1)
            costs[row] = np.log2(FREQUENCY_TOTAL / frequencies[place])
        self.reach = reach
        self.register_buffer("costs", torch.from_numpy(costs).reshape(levels, channels, -1))

    def forward(self, z: Tensor, quality: Tensor) -> Tensor:
        """Bits (B,) of z (B, N, h, w) at levels (B,) of the stream."""
        place = (z + self.reach).clamp(0, 2 * self.reach)
        low = place.detach().floor().clamp(max=2 * self.reach - 1)
        costs = self.costs[quality]
        flat = low.flatten(2).long()
        before = costs.gather(2, flat).view_as(z)
        after = costs.gather(2, flat + 1).view_as(z)
        return torch.lerp(before, after, place - low).flatten(1).sum(1)


@dataclass(frozen=True)
class JointOutput:
    """x_hat (B, 3, H, W) around 0..1, and the bits (B,) that P charges."""

    x_hat: Tensor
    bits: Tensor


class JointModel(nn.Module):
    """E and G that learn, P that stands."""

    def __init__(self, config: JointConfig, stream: HyperpriorCodec) -> None:
        super().__init__()
        size = config.size
        told = ToldAnalysis(stream.g_a, size.text_width, size.text_hidden, size.mask_hidden)
        self.g_a = told.requires_grad_(True)
        self.generator = SsaGenerator(size)
        self.generator.start_from(stream.g_s, list(config.qualities))
        latents = stream.latents
        self.h_a, self.h_mu, self.scale = latents.h_a, latents.h_mu, latents.scale
        self.prior = FrozenPrior(
            latents.coder.tables, latents.size.levels, latents.size.hyper_latent
        )
        self.register_buffer("qualities", torch.tensor(config.qualities), persistent=False)
        self.ears = {"nowhere": (0, 0), "decoder": (0, 1), "both": (1, 1)}[config.text_at]

    def learning(self) -> nn.ModuleList:
        """What learns."""
        return nn.ModuleList([self.g_a, self.generator])

    def _counted(self, values: Tensor) -> Tensor:
        """What bits are counted for: noisy values where gradients are wanted, else rounded ones."""
        if not self.training:
            return values.round()
        return values + torch.rand_like(values) - 0.5

    def forward(self, x: Tensor, level: Tensor, text: Tensor) -> JointOutput:
        """One pass on pictures (B, 3, H, W) in 0..1 at the generator's levels (B,)."""
        height, width = x.shape[2:]
        pad = (0, -width % Z_STRIDE, 0, -height % Z_STRIDE)
        quality: Tensor = self.qualities[level]  # type: ignore[index]
        at_encoder, at_decoder = self.ears
        with torch.autocast(x.device.type, torch.bfloat16):
            padded = F.pad(x - 0.5, pad, mode="replicate")
            y = self.g_a(padded, quality, Conditioning(at_encoder * text)).float()
            z = self.h_a(y, quality).float()
            z_hat = round_ste(z)
            mu = self.h_mu(z_hat, quality).float()
        symbols = z_hat.detach()
        index = torch.cat(
            [self.scale(symbols[i : i + 1], q).float() for i, q in enumerate(quality.tolist())]
        )
        centred = y - mu
        coded = (index > 0).float()
        likelihood = bin_probability(self._counted(centred), index).clamp_min(
            LATENT_LIKELIHOOD_FLOOR
        )
        bits = (-torch.log2(likelihood) * coded).flatten(1).sum(1)
        bits = bits + self.prior(self._counted(z), quality)
        y_hat = round_ste(centred) * coded + mu
        rows, columns = -(-height // 16), -(-width // 16)
        with torch.autocast(x.device.type, torch.bfloat16):
            words = Conditioning(at_decoder * text)
            x_hat = self.generator(y_hat[:, :, :rows, :columns], level, words)
        return JointOutput(x_hat[..., :height, :width].float() + 0.5, bits)


class JointRun:
    """Model, moving average, optimisers and position of one joint run."""

    def __init__(self, config: JointConfig, stream: HyperpriorCodec) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = stream.device
        self.model = JointModel(config, stream).to(self.device)
        self.model.to(memory_format=torch.channels_last)
        learning = self.model.learning()
        averaging = get_ema_multi_avg_fn(config.average)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(learning, multi_avg_fn=averaging)
        self.optimisers: list[torch.optim.Optimizer] = []
        for part, share in ((self.model.g_a, config.encoder_rate), (self.model.generator, 1.0)):
            self.optimisers += muon_and_adamw(part, share * config.learning_rate)
        ladder = lambdas(config.lambda_lowest, config.lambda_highest, stream.latents.size.levels)
        self.ladder = ladder[list(config.qualities)].to(self.device)
        self.step = 0
        self.seconds = 0.0

    @property
    def averaged(self) -> nn.ModuleList:
        """The moving average of the weights: g_a and the generator."""
        module = self.average.module
        assert isinstance(module, nn.ModuleList)
        return module

    def train_step(self, data: CaptionedPictures) -> float:
        """One step; returns the loss."""
        config = self.config
        torch.manual_seed(hash((config.seed, self.step)))
        rng = np.random.default_rng([config.seed, self.step])
        index = rng.integers(len(data) - config.held_out, size=config.batch)
        level = (np.arange(config.batch) + self.step) % len(config.qualities)
        text = data.vectors[index, rng.integers(data.vectors.shape[1], size=config.batch)]
        told = rng.random((config.batch, 1)) >= config.text_dropout
        pixels = np.where(
            rng.random((config.batch, 1, 1, 1)) < 0.5,
            data.pictures[index],
            data.pictures[index][:, :, ::-1],
        )
        x = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float().div(255)
        x = x.contiguous(memory_format=torch.channels_last)
        levels = torch.from_numpy(level).to(self.device)
        words = torch.from_numpy(text * told).to(self.device).float()
        out = self.model(x, levels, words)
        mse = (out.x_hat - x).square().flatten(1).mean(1)
        weight = torch.pow(self.ladder / self.ladder[-1], -0.45)[levels]
        rate = out.bits / (x.shape[2] * x.shape[3])
        loss: Tensor = (weight * (self.ladder[levels] * 255**2 * mse + rate)).mean()
        self.model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        learning = self.model.learning()
        nn.utils.clip_grad_norm_(learning.parameters(), config.clip_norm)
        rise = min(1.0, (self.step + 1) / max(1, config.warmup_steps))
        factor = rise * (1 - self.step / config.steps)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = group["initial_lr"] * factor
            optimiser.step()
        self.average.update_parameters(learning)
        self.step += 1
        return float(loss.item())

    @torch.no_grad()
    def validate(self, data: CaptionedPictures, pictures: int) -> list[tuple[float, float]]:
        """Bits a pixel that P charges for rounded values, and PSNR with own words, a row a level.

        Of the averaged weights. For watching a run: what is reported comes from real containers.
        """
        learning = self.model.learning()
        held = {name: value.clone() for name, value in learning.state_dict().items()}
        learning.load_state_dict(self.average.module.state_dict())
        self.model.eval()
        rows = []
        for level in range(len(self.config.qualities)):
            rates, values = [], []
            for index in range(min(pictures, len(data))):
                x = torch.from_numpy(data.pictures[index : index + 1]).to(self.device)
                x = x.permute(0, 3, 1, 2).float().div(255)
                text = torch.from_numpy(data.vectors[index : index + 1, 0]).to(self.device).float()
                out = self.model(x, torch.tensor([level], device=self.device), text)
                rates.append(float(out.bits) / (x.shape[2] * x.shape[3]))
                mse = (out.x_hat.clamp(0, 1) - x).square().mean()
                values.append(float(-10 * torch.log10(mse)))
            rows.append((float(np.mean(rates)), float(np.mean(values))))
        learning.load_state_dict(held)
        self.model.train()
        return rows

    def save(self, path: Path) -> None:
        """Write everything that a resumed run needs; the file is replaced whole."""
        state = {
            "learning": self.model.learning().state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "seconds": self.seconds,
        }
        write_state(path, state)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same configuration."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.learning().load_state_dict(state["learning"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = state["step"]
        self.seconds = state["seconds"]
