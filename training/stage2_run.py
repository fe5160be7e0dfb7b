"""The run of a generator: data in, ``checkpoint.pt``, ``distortion.pt`` and ``log.csv``, a bundle out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from shared.bundle import load_bundle
from shared.codecs.base import HyperpriorCodec, shipped_bundle
from shared.generator_bundle import (
    GeneratorManifest,
    GeneratorProvenance,
    save_generator_bundle,
)
from shared.matcher_bundle import load_matcher
from shared.networks.matcher import feature_distance
from shared.networks.precision import Precision, default_device
from training.captioned import CaptionedPictures
from training.drive import CHECKPOINT, drive
from training.guard import train_guard
from training.stage2 import GeneratorData, Perceptual, Stage2Run
from training.stage2_config import Stage2Config

__all__ = ["GeneratorRequest", "export_generator", "feature_perceptual", "generator_run"]

#: Where a run keeps the end of its first phase, for others to start from.
DISTORTION = "distortion.pt"
#: Of the validation set, in a log row.
VALIDATION_PICTURES = 96


@dataclass(frozen=True)
class GeneratorRequest:
    """What to train and where things are.

    Attributes:
        data: folder that the configuration's globs start from.
        out: folder of the run.
        cache: folder for caption vectors and latents, shared by runs.
        bundle: folder to write the bundle to.
        start: ``distortion.pt`` of a run whose first phase this one shares.
        snapshot: train no further, export what the checkpoint holds.
    """

    config: Stage2Config
    data: Path
    out: Path
    cache: Path
    bundle: Path
    start: Path | None = None
    snapshot: bool = False


def _data(
    request: GeneratorRequest, codec: HyperpriorCodec, pattern: str, workers: int
) -> GeneratorData:
    config = request.config
    pictures = CaptionedPictures.load(
        request.data, pattern, request.cache, config.text_encoder, workers
    )
    return GeneratorData.load(config, codec, pictures, request.cache)


def _said(run: Stage2Run, validation: GeneratorData) -> str:
    """PSNR of every level, by what is told."""
    columns = zip(*run.validate(validation, VALIDATION_PICTURES), strict=True)
    values = (" ".join(f"{value:.3f}" for value in column) for column in columns)
    return "matched {} | none {} | mismatched {}".format(*values)


def feature_perceptual(name: str, device: torch.device) -> Perceptual:
    """Mean feature distance to the original, by a shipped matcher's maps."""
    matcher = load_matcher(shipped_bundle(name)).to(device)

    def distance(x_hat: Tensor, x: Tensor) -> Tensor:
        return feature_distance(matcher.feature_maps(x_hat), matcher.feature_maps(x)).mean()

    return distance


def generator_run(request: GeneratorRequest, workers: int) -> GeneratorManifest:
    """Train, continuing from ``out/checkpoint.pt`` where there is one, and write the bundle.

    Raises:
        FileNotFoundError: no training data, or nothing to take a snapshot of.
    """
    config, out = request.config, request.out
    out.mkdir(parents=True, exist_ok=True)
    device = default_device()
    codec = HyperpriorCodec(load_bundle(shipped_bundle(config.stream)), Precision.FLOAT32)
    perceptual = feature_perceptual(config.features, device) if config.adversarial_steps else None
    run = Stage2Run(config, codec.g_s, perceptual, device)
    checkpoint = out / CHECKPOINT
    if checkpoint.exists():
        run.load(checkpoint)
    elif request.snapshot:
        raise FileNotFoundError(f"no checkpoint to export: {checkpoint}")
    elif request.start is not None:
        run.load(request.start)
    data = _data(request, codec, config.train, workers)
    if not request.snapshot:
        validation = _data(request, codec, config.validation, workers)
        drive(
            run,
            config.steps,
            lambda: run.train_step(data),
            lambda: _said(run, validation),
            out,
            {config.distortion_steps: DISTORTION},
        )
    return export_generator(run, data, request.bundle)


def export_generator(run: Stage2Run, data: GeneratorData, folder: Path) -> GeneratorManifest:
    """Write the bundle of a run, with a guard where the run's generator reads words."""
    config = run.config
    tensors = {f"generator.{name}": value for name, value in run.averaged.state_dict().items()}
    guard = None
    if config.guard and config.generator_text:
        guard = train_guard(run, data)
        tensors |= {f"guard.{name}": value for name, value in guard.state_dict().items()}
    manifest = GeneratorManifest(
        codec=config.name,
        tensors_sha256="",
        stream=config.stream,
        stream_model_id=load_bundle(shipped_bundle(config.stream)).manifest.model_id,
        levels=config.levels,
        size=config.size,
        guard=guard.matcher.size if guard else None,
        text_encoder=config.text_encoder if config.generator_text else "",
        provenance=GeneratorProvenance(
            config=config.name,
            config_digest=config.digest(),
            data_digest=data.pictures.digest,
            seed=config.seed,
            distortion_steps=min(run.step, config.distortion_steps),
            adversarial_steps=max(0, run.step - config.adversarial_from),
            hours=round(run.seconds / 3600, 2),
        ),
    )
    tensors = {name: tensor.cpu().float() for name, tensor in tensors.items()}
    return save_generator_bundle(folder, manifest, tensors)
