"""Settings of a text-conditioned generator's run: which stream, which words, how long."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict, Field

from shared.levels import StreamLevel
from shared.networks.generator import GeneratorSize

__all__ = ["Stage2Config"]


class Stage2Config(BaseModel):
    """Settings of a generator run on a frozen stream (``sidewire train``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$", description="the codec that the bundle serves")
    seed: int = 1
    stream: str = Field("base", description="shipped bundle whose encoder and entropy model stand")
    levels: tuple[StreamLevel, ...]
    size: GeneratorSize = GeneratorSize()
    text_encoder: str = "minilm"
    generator_text: bool = Field(True, description="G reads the words; otherwise always zero")
    guard: bool = Field(True, description="a guard against wrong captions is trained at the end")
    discriminator_text: bool = Field(True, description="D reads the words; otherwise always zero")
    text_dropout: float = Field(0.15, ge=0, lt=1, description="share of pictures without words")

    train: str = Field(description="glob of Parquet files below the data folder")
    validation: str
    held_out: int = Field(
        400, ge=0, description="last pictures that no step sees: the guard is calibrated on them"
    )
    batch: int = Field(8, ge=1)
    distortion_steps: int = Field(ge=0, description="squared error alone")
    discriminator_steps: int = Field(0, ge=0, description="then D alone, before it teaches G")
    adversarial_steps: int = Field(ge=0, description="the whole objective")
    learning_rate: float = Field(1e-3, gt=0)
    discriminator_rate: float = Field(2e-4, gt=0)
    warmup_steps: int = Field(100, ge=0)
    adversarial_rate: float = Field(0.2, gt=0, description="G's rate then, as a share")
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.998, ge=0, lt=1, description="decay of the weights' moving average")

    distortion_weight: float = Field(
        0.075 * 2**-5, gt=0, description="k_M, on the 0..255 scale (HiFiC)"
    )
    features: str = Field("features", description="shipped matcher whose maps measure distance")
    perceptual_weight: float = Field(1.0, ge=0, description="k_P, of the feature distance")
    adversarial_weight: float = Field(0.15, ge=0, description="beta")

    @property
    def steps(self) -> int:
        """Of all phases."""
        return self.adversarial_from + self.adversarial_steps

    @property
    def adversarial_from(self) -> int:
        """Step at which G begins to learn the whole objective."""
        return self.distortion_steps + self.discriminator_steps

    def rate_factor(self, step: int) -> float:
        """G's learning-rate factor: in each of its phases a warm-up, then a linear fall to zero."""
        if self.distortion_steps <= step < self.adversarial_from:
            return 0.0
        if step < self.distortion_steps:
            start, length, peak = 0, self.distortion_steps, 1.0
        else:
            start, length, peak = (
                self.adversarial_from,
                self.adversarial_steps,
                self.adversarial_rate,
            )
        done = step - start
        rise = min(1.0, (done + 1) / max(1, self.warmup_steps))
        return peak * rise * (1 - done / max(1, length))

    def digest(self) -> str:
        """Hash of the settings, for provenance."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
