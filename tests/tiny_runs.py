"""Rate-distortion runs of networks so small that a test can take some steps."""

from __future__ import annotations

from shared.latents.hyperprior import HyperpriorSize
from training.data import PictureStore
from training.examples import Crops
from training.rate_distortion_run import RateDistortionRun
from training.recipes.rate_distortion import RateDistortion

__all__ = ["LADDER", "SIZE", "config", "fresh"]

SIZE = HyperpriorSize(
    levels=2,
    stem=16,
    fine=8,
    coarse=8,
    fine_blocks=1,
    coarse_blocks=1,
    latent=8,
    hyper_latent=4,
    hyper_hidden=8,
    scale_hidden=(4, 4),
)
#: What a size says beyond that for a level of each scale, and means that a context corrects.
LADDER = {"levels": 3, "scales": (4, 2, 1), "context": {"width": 8, "blocks": 1}}


def config(**changes: object) -> RateDistortion:
    """Settings of a run of ten steps, but for what is changed."""
    settings = {
        "name": "base",
        "size": SIZE.model_dump(mode="json"),
        "train": ["*.parquet"],
        "validation": "pictures.parquet",
        "crop": 64,
        "copy_crop": 64,
        "steps": 6,
        "warmup_steps": 2,
        "quantised_steps": 4,
    }
    return RateDistortion.model_validate(settings | changes)


def fresh(store: PictureStore, settings: RateDistortion) -> RateDistortionRun:
    """A run before its first step."""
    return RateDistortionRun(settings, Crops(store))
