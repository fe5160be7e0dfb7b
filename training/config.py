"""A training run is this file's settings plus a folder of data."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from shared.networks.transforms import HyperpriorSize
from training.stage1 import lambdas

__all__ = ["Stage1Config", "load_config", "rate_factor"]


def rate_factor(step: int, steps: int, warmup_steps: int, decay_fraction: float) -> float:
    """Learning-rate factor at ``step`` of ``steps``: warm-up, a plateau, a linear fall over the last part."""
    rise = min(1.0, (step + 1) / max(1, warmup_steps))
    fall = max(1.0, decay_fraction * steps)
    return rise * min(1.0, (steps - step) / fall)


class Stage1Config(BaseModel):
    """Settings of a rate-distortion run (``sidewire train``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$", description="the codec that the bundle serves")
    seed: int = 1
    size: HyperpriorSize = HyperpriorSize()

    lambda_lowest: float = Field(1e-4, gt=0, description="weight of 255^2 MSE at quality 0")
    lambda_highest: float = Field(3e-2, gt=0, description="weight at the highest quality")
    level_weight_power: float = Field(
        -0.45, description="levels are weighted by lambda**power: low rates need not drown"
    )

    train: list[str] = Field(description="globs of Parquet files below the data folder")
    validation: str = Field(description="glob of Parquet files below the data folder")
    crop: int = Field(128, multiple_of=64)
    batch: int = Field(1, ge=1, description="crops a quality level and step")

    steps: int = Field(ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    linear_rate: float = Field(
        0.1, gt=0, description="of the linear paths, as a share of the others'"
    )
    warmup_steps: int = Field(200, ge=0)
    decay_fraction: float = Field(0.4, ge=0, le=1, description="the last part falls to zero")
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.998, ge=0, lt=1, description="decay of the weights' moving average")

    quantised_steps: int = Field(2000, ge=0, description="scale branch alone, on the integer grid")
    quantised_learning_rate: float = Field(3e-4, gt=0)

    def ladder(self) -> Tensor:
        """(levels,) Lagrangian weights."""
        return lambdas(self.lambda_lowest, self.lambda_highest, self.size.levels)

    def level_weights(self) -> Tensor:
        """(levels,) weights of the levels' losses, 1 in the middle of the ladder."""
        ladder = self.ladder()
        return torch.pow(ladder / ladder[len(ladder) // 2], self.level_weight_power)

    def rate_factor(self, step: int) -> float:
        """Learning-rate factor at ``step``: warm-up, a plateau, a linear fall."""
        return rate_factor(step, self.steps, self.warmup_steps, self.decay_fraction)

    def digest(self) -> str:
        """Hash of the settings, for provenance."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def load_config(path: Path) -> Stage1Config:
    """Read a YAML file.

    Raises:
        OSError: no such file. pydantic.ValidationError: a setting is wrong, unknown or missing.
    """
    return Stage1Config.model_validate(yaml.safe_load(path.read_text()))
