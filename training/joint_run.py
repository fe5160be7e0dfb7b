"""The run of a joint codec: data in, checkpoints and ``log.csv``, a bundle with encoder and generator out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.bundle import load_bundle
from shared.codecs.base import HyperpriorCodec, shipped_bundle
from shared.generator_bundle import (
    GeneratorManifest,
    GeneratorProvenance,
    save_generator_bundle,
)
from shared.levels import StreamLevel
from shared.networks.precision import Precision
from training.captioned import CaptionedPictures
from training.drive import CHECKPOINT, drive
from training.joint import JointConfig, JointRun

__all__ = ["JointRequest", "joint_run"]

#: Of the validation set, in a log row.
VALIDATION_PICTURES = 24


@dataclass(frozen=True)
class JointRequest:
    """What to train and where things are; as :class:`training.stage2_run.GeneratorRequest`."""

    config: JointConfig
    data: Path
    out: Path
    cache: Path
    bundle: Path
    snapshot: bool = False


def _pictures(request: JointRequest, pattern: str, workers: int) -> CaptionedPictures:
    encoder = request.config.text_encoder
    return CaptionedPictures.load(request.data, pattern, request.cache, encoder, workers)


def _said(run: JointRun, validation: CaptionedPictures) -> str:
    rates, values = zip(*run.validate(validation, VALIDATION_PICTURES), strict=True)
    return (
        "charged "
        + " ".join(f"{rate:.4f}" for rate in rates)
        + " | psnr "
        + " ".join(f"{value:.3f}" for value in values)
    )


def joint_run(request: JointRequest, workers: int) -> GeneratorManifest:
    """Train, continuing from ``out/checkpoint.pt`` where there is one, and write the bundle.

    Raises:
        FileNotFoundError: no training data, or nothing to take a snapshot of.
    """
    config, out = request.config, request.out
    out.mkdir(parents=True, exist_ok=True)
    stream = HyperpriorCodec(load_bundle(shipped_bundle(config.stream)), Precision.FLOAT32)
    run = JointRun(config, stream)
    checkpoint = out / CHECKPOINT
    if checkpoint.exists():
        run.load(checkpoint)
    elif request.snapshot:
        raise FileNotFoundError(f"no checkpoint to export: {checkpoint}")
    data = _pictures(request, config.train, workers)
    if not request.snapshot:
        validation = _pictures(request, config.validation, workers)
        drive(
            run,
            config.steps,
            lambda: run.train_step(data),
            lambda: _said(run, validation),
            out,
        )
    return _export(run, data, request.bundle)


def _export(run: JointRun, data: CaptionedPictures, folder: Path) -> GeneratorManifest:
    config = run.config
    encoder, generator = run.averaged
    tensors = {f"g_a.{name}": value for name, value in encoder.state_dict().items()}
    tensors |= {f"generator.{name}": value for name, value in generator.state_dict().items()}
    manifest = GeneratorManifest(
        codec=config.name,
        tensors_sha256="",
        stream=config.stream,
        stream_model_id=load_bundle(shipped_bundle(config.stream)).manifest.model_id,
        encoder="told" if config.text_at == "both" else "own",
        levels=tuple(StreamLevel(quality=quality, colour=True) for quality in config.qualities),
        size=config.size,
        guard=None,
        text_encoder="" if config.text_at == "nowhere" else config.text_encoder,
        provenance=GeneratorProvenance(
            config=f"joint-{config.text_at}",
            config_digest=config.digest(),
            data_digest=data.digest,
            seed=config.seed,
            distortion_steps=run.step,
            adversarial_steps=0,
            hours=round(run.seconds / 3600, 2),
        ),
    )
    tensors = {name: tensor.cpu().float() for name, tensor in tensors.items()}
    return save_generator_bundle(folder, manifest, tensors)
