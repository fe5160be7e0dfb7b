"""The stage-1 loop: a config and a data folder in, a checkpoint and at the end a bundle out.

Two phases: the whole model in float, then the scale branch alone on the integer grid while
everything that shapes y and z stands still. Every step draws its crops and its noise from
``(seed, step)``, so that a run resumed from a checkpoint ends where an unbroken one would.
"""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from shared.networks.transforms import Y_STRIDE
from training.checkpoint import write_state
from training.config import Stage1Config
from training.data import PictureStore
from training.muon import Muon, matrices_of
from training.stage1 import RateDistortionModel

__all__ = ["LogRow", "Stage1Run", "finish", "train"]

CHECKPOINT_EVERY = 500
LOG_EVERY = 100
#: Pictures of the validation set that a log row of phase one is measured on.
VALIDATION_PICTURES = 32
VALIDATION_CROP = 192
#: Crops whose patches start the linear paths, drawn as an impossible step's batch.
PATCH_CROPS = 1000
PATCH_STEP = 2**40


@dataclass(frozen=True)
class LogRow:
    """One line of ``log.csv``; the losses are means since the row before."""

    phase: str
    step: int
    seconds: float
    loss: float
    steps_per_second: float
    validation_bpp: str
    validation_psnr: str


class Stage1Run:
    """Model, moving average, optimisers and position of one run."""

    def __init__(self, config: Stage1Config, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = device
        model = RateDistortionModel(config.size, config.ladder())
        self.model = model.to(device).to(memory_format=torch.channels_last)
        averaging = get_ema_multi_avg_fn(config.average)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(model, multi_avg_fn=averaging)
        paths = nn.ModuleList([model.transforms.g_a.project, model.transforms.g_s.expand])
        linear = list(paths.parameters())
        matrices = [p for p in matrices_of(model) if all(p is not other for other in linear)]
        taken = {id(parameter) for parameter in matrices + linear}
        rest = [p for p in model.parameters() if p.requires_grad and id(p) not in taken]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=config.learning_rate),
            # They start near their optimum: large steps would only shake them.
            Muon(linear, lr=config.learning_rate * config.linear_rate),
            torch.optim.AdamW(rest, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.float_twin = copy.deepcopy(model.scale)
        self.step = 0
        self.quantised_step = 0
        self.seconds = 0.0

    @property
    def averaged(self) -> RateDistortionModel:
        """The moving average of the weights, as a model."""
        model = self.average.module
        assert isinstance(model, RateDistortionModel)
        return model

    # -- one step -------------------------------------------------------------------------------

    def batch(self, store: PictureStore, step: int) -> Tensor:
        """The crops of a step, (batch * levels, 3, crop, crop) in 0..1 on the run's device."""
        config = self.config
        x = store.batch(config.seed, step, config.batch * config.size.levels, config.crop)
        return x.to(self.device, memory_format=torch.channels_last)

    def _levels(self, count: int) -> Tensor:
        return torch.arange(count, device=self.device) % self.config.size.levels

    def loss(self, x: Tensor) -> Tensor:
        """Mean over levels of ``weight * (lambda * 255**2 * MSE + bits per pixel)``."""
        quality = self._levels(len(x))
        out = self.model(x, quality)
        mse = (out.x_hat - x).square().flatten(1).mean(1)
        bpp = (out.y_bits + out.z_bits) / (x.shape[2] * x.shape[3])
        weight, ladder = self.config.level_weights(), self.config.ladder()
        weight, ladder = weight.to(self.device)[quality], ladder.to(self.device)[quality]
        loss: Tensor = (weight * (ladder * 255**2 * mse + bpp)).mean()
        return loss

    def train_step(self, store: PictureStore) -> float:
        """Phase one: everything learns. Returns the loss."""
        config = self.config
        torch.manual_seed(hash((config.seed, 1, self.step)))
        x = self.batch(store, self.step)
        loss = self.loss(x)
        self.model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = group["initial_lr"] * config.rate_factor(self.step)
            optimiser.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return float(loss.item())

    def start(self, store: PictureStore) -> None:
        """Initialise what depends on the data, before the first step."""
        crops = store.batch(self.config.seed, PATCH_STEP, PATCH_CROPS, self.config.crop)
        patches = F.pixel_unshuffle(crops - 0.5, Y_STRIDE).permute(0, 2, 3, 1)
        self.model.start_from_patches(patches.flatten(0, 2).to(self.device))
        self.averaged.load_state_dict(self.model.state_dict())

    def begin_quantised(self) -> None:
        """Continue from the averaged weights, with only the scale branch learning."""
        peaks = self.model.scale.peaks.clone()
        self.model.load_state_dict(self.averaged.state_dict())
        self.model.scale.peaks.copy_(peaks)
        self.model.requires_grad_(False)
        self.model.scale.requires_grad_(True)
        self.float_twin = copy.deepcopy(self.model.scale)
        self.float_twin.log_steps.requires_grad_(False)
        self.model.scale.begin_quantised()
        self.optimisers = [
            torch.optim.Adam(branch.parameters(), lr=self.config.quantised_learning_rate)
            for branch in (self.model.scale, self.float_twin)
        ]

    def quantised_train_step(self, store: PictureStore) -> float:
        """Phase two: the scale branch lowers the bits of y on frozen latents. Returns bits/pixel.

        A twin that stays in float takes the same steps: what integers cost is measured against it.
        """
        config = self.config
        position = config.steps + self.quantised_step
        torch.manual_seed(hash((config.seed, 2, position)))
        x = self.batch(store, position)
        quality = self._levels(len(x))
        weight = config.level_weights().to(self.device)[quality] / config.crop**2
        z_hat, symbols = self.model.latents(x, quality)
        progress = self.quantised_step / max(1, config.quantised_steps)
        losses = []
        branches = (self.model.scale, self.float_twin)
        for branch, optimiser in zip(branches, self.optimisers, strict=True):
            loss = (weight * self.model.y_bits(symbols, branch(z_hat, quality))).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            for group in optimiser.param_groups:
                fall = 0.5 * (1 + math.cos(math.pi * progress))
                group["lr"] = config.quantised_learning_rate * fall
            optimiser.step()
            losses.append(loss)
        loss = losses[0]
        self.quantised_step += 1
        return float(loss.item())

    # -- validation -----------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self, store: PictureStore) -> tuple[list[float], list[float]]:
        """Estimated bits per pixel and PSNR of the averaged weights, one value a level."""
        levels = self.config.size.levels
        model = self.averaged
        rates, errors = torch.zeros(levels), torch.zeros(levels)
        count = min(VALIDATION_PICTURES, len(store.pictures))
        crops = []
        for picture in store.pictures[:count]:
            corner = torch.from_numpy(picture[:VALIDATION_CROP, :VALIDATION_CROP].copy())
            crops.append(corner.permute(2, 0, 1).to(self.device, torch.float32).div_(255))
        generator_state = torch.get_rng_state()
        torch.manual_seed(0)
        for crop in crops:
            x = crop[None].repeat(levels, 1, 1, 1)
            out = model(x, self._levels(levels))
            pixels = crop.shape[1] * crop.shape[2]
            rates += ((out.y_bits + out.z_bits) / pixels).cpu()
            mse = (out.x_hat.clamp(0, 1) - x).square().flatten(1).mean(1)
            errors += (-10 * torch.log10(mse)).cpu()
        torch.set_rng_state(generator_state)
        return (rates / count).tolist(), (errors / count).tolist()

    # -- checkpoints ----------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write everything that a resumed run needs; the file is replaced whole."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "float_twin": self.float_twin.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "quantised_step": self.quantised_step,
            "seconds": self.seconds,
        }
        write_state(path, state)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same configuration."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["quantised_step"] > 0:
            self.begin_quantised()
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.float_twin.load_state_dict(state["float_twin"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = state["step"]
        self.quantised_step = state["quantised_step"]
        self.seconds = state["seconds"]


class _Log:
    """Appends :class:`LogRow` lines to ``log.csv`` and shows a progress bar."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.path = folder / "log.csv"
        self.progress = progress

    def write(self, row: LogRow) -> None:
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(asdict(row)))
            if fresh:
                writer.writeheader()
            writer.writerow(asdict(row))
        rates = (
            f" bpp {row.validation_bpp} psnr {row.validation_psnr}" if row.validation_bpp else ""
        )
        self.progress.console.print(
            f"{row.phase} step {row.step} loss {row.loss:.4f}"
            f" {row.steps_per_second:.2f} steps/s{rates}",
            highlight=False,
        )


def _steps(run: Stage1Run, store: PictureStore) -> Iterator[tuple[str, int, int, float]]:
    """Run both phases to their ends; yields phase, steps done, steps in all and the loss."""
    while run.step < run.config.steps:
        loss = run.train_step(store)
        yield "float", run.step, run.config.steps, loss
    yield from _integer_steps(run, store)


def _integer_steps(run: Stage1Run, store: PictureStore) -> Iterator[tuple[str, int, int, float]]:
    if run.quantised_step == 0:
        run.begin_quantised()
    while run.quantised_step < run.config.quantised_steps:
        loss = run.quantised_train_step(store)
        yield "integer", run.quantised_step, run.config.quantised_steps, loss


def finish(run: Stage1Run, store: PictureStore) -> None:
    """Run the integer phase from where the float phase stands, however far that is."""
    for _ in _integer_steps(run, store):
        pass


def train(run: Stage1Run, store: PictureStore, validation: PictureStore, folder: Path) -> None:
    """Train to the end of both phases, checkpointing into ``folder``."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn()) as progress:
        log = _Log(folder, progress)
        bar = progress.add_task("float")
        losses: list[float] = []
        started = mark = time.monotonic()
        before = run.seconds
        for phase, done, total, loss in _steps(run, store):
            losses.append(loss)
            progress.update(bar, description=phase, completed=done, total=total)
            if not math.isfinite(loss):
                raise FloatingPointError(f"loss is {loss} at {phase} step {done}")
            last = done == total
            if done % LOG_EVERY == 0 or last:
                now = time.monotonic()
                run.seconds = before + now - started
                bpp = psnr = ""
                if phase == "float" and (done % CHECKPOINT_EVERY == 0 or last):
                    rates, values = run.validate(validation)
                    bpp = " ".join(f"{rate:.3f}" for rate in rates)
                    psnr = " ".join(f"{value:.2f}" for value in values)
                speed = len(losses) / (now - mark)
                mean = sum(losses) / len(losses)
                log.write(LogRow(phase, done, round(run.seconds, 1), mean, speed, bpp, psnr))
                losses, mark = [], time.monotonic()
            if done % CHECKPOINT_EVERY == 0 or last:
                run.save(folder / "checkpoint.pt")
