"""A peer trained here: CompressAI's ``mbt2018_mean`` on ``base``'s data, by ``base``'s recipe.

Minnen et al., "Joint Autoregressive and Hierarchical Priors for Learned Image Compression" (2018), without
the autoregressive part, at N=128 and M=192. Each of its rates is a model of its own: the first learns for as
many processor hours as ``base`` did for all of its rates, and the others go on from it, so that no point of
its curve has had less. Noise where bits are counted, rounding where values are used, optimisers, schedule
and moving average are those of :mod:`training.loop`.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from shared.errors import LimitError
from shared.feed import read_feed
from shared.latents.rounding import round_ste
from shared.metrics import ms_ssim, psnr
from shared.networks.precision import CPU, coarse
from shared.peer_curve import PeerCurve, PeerPoint
from shared.pictures import Picture, picture_from_bytes
from training.data import PictureStore
from training.drive import CHECKPOINT, drive
from training.muon import muon_and_adamw
from training.recipe import Places, Recipe
from training.run import Average, Learner, Move, Phase, Run, rise_and_fall
from training.together import ALONE, Together

__all__ = ["PeerRecipe", "PeerRun", "coded", "compressai_mean_scale", "network_input"]

VALIDATION_CROP = 192
VALIDATION_PICTURES = 32
#: Fits the quantiles that CompressAI's coder takes its tables from; nothing else depends on them.
QUANTILE_STEPS, QUANTILE_RATE = 2000, 0.05
#: CompressAI's transforms want sides that are multiples of this.
STRIDE = 64


@dataclass(frozen=True)
class Data:
    """Training and validation crops, and the whole pictures that the curve is measured on."""

    training: PictureStore
    validation: PictureStore
    test: list[Picture]


class PeerRecipe(Recipe[Data]):
    """Settings of a peer's runs, one a point of its curve.

    Attributes:
        quality: of CompressAI's zoo, which sets N and M.
        lambdas: weight of ``255**2 * MSE`` beside bits a pixel, a point of the curve each.
        steps: of the first point.
        more_steps: of each further one, which goes on from the first.
    """

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

    def load(self, places: Places) -> Data:
        """See :meth:`Recipe.load`."""
        return Data(
            PictureStore.load(places.data, self.train, self.crop, places.workers),
            PictureStore.load(places.data, [self.validation], VALIDATION_CROP, places.workers),
            [picture_from_bytes(row.image) for row in read_feed(places.data / self.test)],
        )

    def begin(self, data: Data) -> PeerRun:
        """See :meth:`Recipe.begin`: the first point."""
        return PeerRun(self, data.training, self.lambdas[0], self.steps)

    def watch(self, run: Run[Any], data: Data) -> str:
        """See :meth:`Recipe.watch`."""
        assert isinstance(run, PeerRun)
        return run.measure(data.validation)

    def export(self, run: Run[Any], data: Data, places: Places) -> str:
        """See :meth:`Recipe.export`: of all points that are done, the curve."""
        points = []
        for one in self._points(data, places.out):
            if one.step < one.steps:
                break
            points.append(one.point(data.test))
        curve = PeerCurve(
            name=self.name,
            config_digest=self.digest(),
            data_digest=data.training.digest,
            points=tuple(sorted(points, key=lambda point: point.bpp)),
        )
        curve.write(places.bundle)
        return f"{self.name}, a curve of {len(points)} points"

    def carry_out(self, places: Places, together: Together = ALONE) -> str:
        """See :meth:`Recipe.carry_out`: every point in turn, continued where it stands.

        Raises:
            LimitError: there are several workers, while a point's hours are those of one process.
        """
        if not together.alone:
            raise LimitError("workers of a peer, whose processor hours count,", together.count, 1)
        data = self.load(places)
        for run in self._points(data, places.out):
            drive(run, partial(run.measure, data.validation), run.folder)
        return self.export(run, data, places)

    def _points(self, data: Data, out: Path) -> Iterator[PeerRun]:
        first: PeerRun | None = None
        for index, lmbda in enumerate(self.lambdas):
            steps = self.more_steps if first else self.steps
            run = PeerRun(self, data.training, lmbda, steps, first)
            run.folder = out / f"point{index}"
            run.folder.mkdir(parents=True, exist_ok=True)
            if (run.folder / CHECKPOINT).exists():
                run.load(run.folder / CHECKPOINT)
            yield run
            first = first or run


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


class PeerRun(Run[Tensor]):
    """One point's run.

    Args:
        lmbda: weight of the squared error.
        steps: of this run.
        first: the run that it goes on from.
    """

    folder: Path

    def __init__(
        self,
        recipe: PeerRecipe,
        store: PictureStore,
        lmbda: float,
        steps: int,
        first: PeerRun | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.store, self.lmbda = recipe, store, lmbda
        self.model = compressai_mean_scale(recipe.quality)
        self.before = 0
        if first is not None:
            self.model.load_state_dict(first.average.module.state_dict())
            self.before = first.step
        self.model.entropy_bottleneck.quantiles.requires_grad_(False)
        self.model.to(memory_format=torch.channels_last)
        self.average: Average[Any] = Average(self.model, recipe.average)
        learner = Learner(
            muon_and_adamw(self.model, recipe.learning_rate), recipe.clip_norm, self.average
        )
        schedule = rise_and_fall(recipe.warmup_steps, recipe.decay_fraction)
        phase = Phase("float", steps, [Move(learner, self._objective, schedule)])
        models = {"model": self.model, "average": self.average.module}
        super().__init__(recipe.seed, self.draw, [phase], models, {"model": learner})
        self.cpu_seconds = first.cpu_seconds if first is not None else 0.0

    def draw(self, step: int, phase: str) -> Tensor:
        """See :class:`Run`."""
        recipe = self.recipe
        x = self.store.batch(recipe.seed, self.before + step, recipe.batch, recipe.crop)
        return x.to(memory_format=torch.channels_last)

    def _objective(self, x: Tensor) -> Tensor:
        bpp, mse = self.loss(self.model, x)
        return self.lmbda * 255**2 * mse + bpp

    def loss(self, model: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """Bits a pixel and mean squared error (pixels in 0..1) of pictures (B, 3, H, W)."""
        with coarse(CPU):
            y = model.g_a(x)
            z = model.h_a(y)
        y, z = y.float(), z.float()
        _, z_likelihoods = model.entropy_bottleneck(z, training=True)
        medians = model.entropy_bottleneck.quantiles[None, :, 0, 1, None, None]
        z_hat = round_ste(z - medians) + medians
        with coarse(CPU):
            parameters = model.h_s(z_hat)
        scales, means = parameters.float().chunk(2, 1)
        _, y_likelihoods = model.gaussian_conditional(y, scales, means=means, training=True)
        with coarse(CPU):
            x_hat = model.g_s(round_ste(y - means) + means)
        pixels = x.shape[0] * x.shape[2] * x.shape[3]
        bits = -(torch.log2(y_likelihoods).sum() + torch.log2(z_likelihoods).sum())
        return bits / pixels, F.mse_loss(x_hat.float(), x)

    @torch.no_grad()
    def measure(self, store: PictureStore) -> str:
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

    def point(self, pictures: list[Picture]) -> PeerPoint:
        """What the averaged weights do on ``pictures``, coded to strings and decoded from them."""
        model: Any = copy.deepcopy(self.average.module).eval()
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
        steps, hours = self.before + self.step, round(self.cpu_seconds / 3600, 2)
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
