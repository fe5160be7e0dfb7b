"""A peer trained here: CompressAI's ``mbt2018_mean`` on ``base``'s data, by ``base``'s recipe.

Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image Compression" (2018), without
the autoregressive part, at N=128 and M=192. Each of its rates is a model of its own: the first learns for as
many processor hours as ``base`` did for all of its rates, and the others go on from it, so that no point of
its curve has had less. Noise where bits are counted, rounding where values are used, optimisers, schedule
and moving average are those of :mod:`training.loop`.
"""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from shared.feed import read_feed
from shared.metrics import ms_ssim, psnr
from shared.peer_curve import PeerCurve, PeerPoint
from shared.pictures import Picture, picture_from_bytes
from training.checkpoint import write_state
from training.config import rate_factor
from training.data import PictureStore
from training.drive import CHECKPOINT, drive
from training.muon import muon_and_adamw
from training.scale_branch import round_ste

__all__ = ["PeerConfig", "PeerRun", "coded", "compressai_mean_scale", "network_input", "train_peer"]

VALIDATION_CROP = 192
VALIDATION_PICTURES = 32
#: Fits the quantiles that CompressAI's coder takes its tables from; nothing else depends on them.
QUANTILE_STEPS, QUANTILE_RATE = 2000, 0.05
#: CompressAI's transforms want sides that are multiples of this.
STRIDE = 64


class PeerConfig(BaseModel):
    """Settings of a peer's run.

    Attributes:
        quality: of CompressAI's zoo, which sets N and M.
        lambdas: weight of ``255**2 * MSE`` beside bits a pixel, a point of the curve each.
        steps: of the first point.
        more_steps: of each further one, which goes on from the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    seed: int = 1
    quality: int = Field(4, ge=1, le=8)
    lambdas: list[float] = Field(min_length=1)
    train: list[str]
    validation: str
    test: str = "test/kodak.parquet"
    crop: int = Field(192, multiple_of=STRIDE)
    batch: int = Field(8, ge=1)
    steps: int = Field(ge=1)
    more_steps: int = Field(1, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    warmup_steps: int = Field(200, ge=0)
    decay_fraction: float = Field(0.78, ge=0, le=1)
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.998, ge=0, lt=1)

    def digest(self) -> str:
        """Hash of the settings, for provenance."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def compressai_mean_scale(quality: int) -> Any:
    """CompressAI's ``mbt2018_mean``, untrained."""
    # CompressAI compiles a function with torch.jit when it is imported, which torch deprecates.
    warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
    from compressai.zoo import mbt2018_mean  # noqa: PLC0415

    return mbt2018_mean(quality=quality, metric="mse", pretrained=False)


def network_input(picture: Picture) -> Tensor:
    """(1, 3, H, W) in 0..1, its last row and column repeated up to what the transforms want."""
    height, width = picture.shape[:2]
    x = torch.tensor(picture).permute(2, 0, 1)[None].float() / 255
    return F.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")


class PeerRun:
    """One point's run: model, moving average, optimisers and position.

    Args:
        lmbda: weight of the squared error.
        start: weights to go on from.
        steps: of this run.
        before: steps and processor seconds behind ``start``.
    """

    def __init__(
        self,
        config: PeerConfig,
        lmbda: float,
        steps: int,
        start: dict[str, Tensor] | None = None,
        before: tuple[int, float] = (0, 0.0),
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.lmbda, self.steps = config, lmbda, steps
        self.model = compressai_mean_scale(config.quality)
        if start is not None:
            self.model.load_state_dict(start)
        self.model.entropy_bottleneck.quantiles.requires_grad_(False)
        self.model.to(memory_format=torch.channels_last)
        averaging = get_ema_multi_avg_fn(config.average)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.model, multi_avg_fn=averaging)
        self.optimisers = muon_and_adamw(self.model, config.learning_rate)
        self.before_steps, self.cpu_seconds = before
        self.step, self.seconds = 0, 0.0

    def _rate(self) -> float:
        config = self.config
        factor = rate_factor(self.step, self.steps, config.warmup_steps, config.decay_fraction)
        return config.learning_rate * factor

    def loss(self, model: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """Bits a pixel and mean squared error (pixels in 0..1) of pictures (B, 3, H, W)."""
        with torch.autocast("cpu", torch.bfloat16):
            y = model.g_a(x)
            z = model.h_a(y)
        y, z = y.float(), z.float()
        _, z_likelihoods = model.entropy_bottleneck(z, training=True)
        medians = model.entropy_bottleneck.quantiles[None, :, 0, 1, None, None]
        z_hat = round_ste(z - medians) + medians
        with torch.autocast("cpu", torch.bfloat16):
            parameters = model.h_s(z_hat)
        scales, means = parameters.float().chunk(2, 1)
        _, y_likelihoods = model.gaussian_conditional(y, scales, means=means, training=True)
        with torch.autocast("cpu", torch.bfloat16):
            x_hat = model.g_s(round_ste(y - means) + means)
        pixels = x.shape[0] * x.shape[2] * x.shape[3]
        bits = -(torch.log2(y_likelihoods).sum() + torch.log2(z_likelihoods).sum())
        return bits / pixels, F.mse_loss(x_hat.float(), x)

    def train_step(self, store: PictureStore) -> float:
        """One step; returns ``lambda * 255**2 * MSE + bits per pixel``."""
        config, began = self.config, time.process_time()
        position = self.before_steps + self.step
        torch.manual_seed(hash((config.seed, position)))
        x = store.batch(config.seed, position, config.batch, config.crop)
        bpp, mse = self.loss(self.model, x.to(memory_format=torch.channels_last))
        loss = self.lmbda * 255**2 * mse + bpp
        self.model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self._rate()
            optimiser.step()
        self.average.update_parameters(self.model)
        self.step += 1
        self.cpu_seconds += time.process_time() - began
        return float(loss.item())

    @torch.no_grad()
    def validate(self, store: PictureStore) -> str:
        """Estimated rate and distortion of the averaged weights, for the log."""
        model, rates, errors = self.average.module, [], []
        state = torch.get_rng_state()
        for picture in store.pictures[:VALIDATION_PICTURES]:
            corner = torch.from_numpy(picture[:VALIDATION_CROP, :VALIDATION_CROP].copy())
            bpp, mse = self.loss(model, corner.permute(2, 0, 1)[None].float() / 255)
            rates.append(float(bpp))
            errors.append(-10 * math.log10(float(mse)))
        torch.set_rng_state(state)
        return f"bpp {np.mean(rates):.3f} psnr {np.mean(errors):.2f}"

    def save(self, path: Path) -> None:
        """Write all that it takes to go on; the file is replaced whole."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "position": (self.before_steps, self.step, self.seconds, self.cpu_seconds),
        }
        write_state(path, state)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same point."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.before_steps, self.step, self.seconds, self.cpu_seconds = state["position"]

    def point(self, pictures: list[Picture]) -> PeerPoint:
        """What the averaged weights do on ``pictures``, coded to strings and decoded from them."""
        model: Any = self.average.module.eval()
        _fit_quantiles(model.entropy_bottleneck)
        model.update(force=True)
        values = []
        for picture in pictures:
            size, decoded = coded(model, picture)
            similarity = ms_ssim(picture, decoded)
            assert similarity is not None, "the test pictures have room for five scales"
            pixels = picture.shape[0] * picture.shape[1]
            values.append((8 * size / pixels, psnr(picture, decoded), similarity))
        bpp, decibel, similarity = np.mean(values, axis=0).round(4).tolist()
        steps, hours = self.before_steps + self.step, round(self.cpu_seconds / 3600, 2)
        return PeerPoint(
            lmbda=self.lmbda, steps=steps, cpu_hours=hours,
            bpp=bpp, psnr=decibel, ms_ssim=similarity,
        )  # fmt: skip


def _fit_quantiles(bottleneck: Any) -> None:
    quantiles = bottleneck.quantiles.requires_grad_(True)
    optimiser = torch.optim.Adam([quantiles], lr=QUANTILE_RATE)
    for step in range(QUANTILE_STEPS):
        optimiser.param_groups[0]["lr"] = QUANTILE_RATE * (1 - step / QUANTILE_STEPS)
        optimiser.zero_grad()
        bottleneck.loss().backward()
        optimiser.step()


@torch.inference_mode()
def coded(model: Any, picture: Picture) -> tuple[int, Picture]:
    """Bytes of a picture's strings, and what is decoded from them."""
    height, width = picture.shape[:2]
    strings = model.compress(network_input(picture))
    x_hat = model.decompress(**strings)["x_hat"][0, :, :height, :width]
    size = sum(len(one[0]) for one in strings["strings"])
    return size, (x_hat * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def _runs(config: PeerConfig, folder: Path) -> Iterator[tuple[PeerRun, Path]]:
    """A run a point, each after the one before it is done, continued where it stands."""
    start: dict[str, Tensor] | None = None
    before, steps = (0, 0.0), config.steps
    for index, lmbda in enumerate(config.lambdas):
        place = folder / f"point{index}"
        place.mkdir(parents=True, exist_ok=True)
        run = PeerRun(config, lmbda, steps, start, before)
        if (place / CHECKPOINT).exists():
            run.load(place / CHECKPOINT)
        yield run, place
        if start is None:
            start = {name: value.clone() for name, value in run.average.module.state_dict().items()}
            before, steps = (run.step, run.cpu_seconds), config.more_steps


def train_peer(config: PeerConfig, data: Path, out: Path, curves: Path, workers: int) -> PeerCurve:
    """Train every point, continuing from ``out``'s checkpoints, and write the curve below ``curves``.

    Raises:
        FileNotFoundError: there is no such data.
    """
    store = PictureStore.load(data, config.train, config.crop, workers)
    validation = PictureStore.load(data, [config.validation], VALIDATION_CROP, workers)
    pictures = [picture_from_bytes(row.image) for row in read_feed(data / config.test)]
    points = []
    for run, place in _runs(config, out):
        drive(
            run, run.steps, partial(run.train_step, store), partial(run.validate, validation), place
        )
        points.append(run.point(pictures))
    curve = PeerCurve(
        name=config.name,
        config_digest=config.digest(),
        data_digest=store.digest,
        points=tuple(sorted(points, key=lambda point: point.bpp)),
    )
    curve.write(curves)
    return curve
