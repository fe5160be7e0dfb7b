"""A stream's run: load the data, resume if there is a checkpoint, train, export, measure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.bundle import Manifest, Provenance, QualityRow, load_bundle, save_bundle
from shared.codecs.base import HyperpriorCodec
from shared.feed import read_feed
from shared.metrics import ms_ssim, psnr
from shared.networks.precision import default_device
from shared.pictures import Picture, picture_from_bytes
from training.config import Stage1Config
from training.data import PictureStore
from training.export import export_bundle
from training.integer_cost import integer_cost
from training.loop import VALIDATION_CROP, Stage1Run, finish, train

__all__ = ["TrainingRequest", "train_stage1"]

KODAK = Path("test/kodak.parquet")


@dataclass(frozen=True)
class TrainingRequest:
    """What to train and where things are.

    Attributes:
        data: folder that the configuration's globs start from.
        out: folder of the run: checkpoint.pt and log.csv.
        bundle: folder to write the bundle to.
        snapshot: train no further in float; export what the checkpoint holds, and leave it be.
    """

    config: Stage1Config
    data: Path
    out: Path
    bundle: Path
    snapshot: bool = False


def kodak_rows(codec: HyperpriorCodec, pictures: Sequence[Picture]) -> tuple[QualityRow, ...]:
    """Means over test pictures, a row a quality level, from real container bytes."""
    rows = []
    for quality in codec.qualities:
        values = []
        for picture in pictures:
            encoded = codec.encode(picture, quality)
            decoded = codec.decode(encoded.blob).picture
            similarity = ms_ssim(picture, decoded)
            assert similarity is not None, "Kodak pictures have room for five scales"
            values.append((encoded.bits_per_pixel, psnr(picture, decoded), similarity))
        bpp, decibel, similarity = np.mean(values, axis=0).round(4).tolist()
        rows.append(QualityRow(quality=quality, bpp=bpp, psnr=decibel, ms_ssim=similarity))
    return tuple(rows)


def train_stage1(request: TrainingRequest) -> Manifest:
    """Train, continuing from ``out/checkpoint.pt`` where there is one, and write the bundle.

    Raises:
        FileNotFoundError: no training data, or nothing to take a snapshot of.
    """
    config, out = request.config, request.out
    out.mkdir(parents=True, exist_ok=True)
    workers = os.cpu_count() or 1
    store = PictureStore.load(request.data, config.train, config.crop, workers)
    run = Stage1Run(config, default_device())
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        run.load(checkpoint)
    else:
        run.start(store)
    if request.snapshot:
        if not checkpoint.exists():
            raise FileNotFoundError(f"no checkpoint to export: {checkpoint}")
        finish(run, store)
    else:
        validation = PictureStore.load(request.data, [config.validation], VALIDATION_CROP, workers)
        train(run, store, validation, out)
    provenance = Provenance(
        config=config.name,
        config_digest=config.digest(),
        data_digest=store.digest,
        seed=config.seed,
        steps=run.step,
        quantised_steps=run.quantised_step,
        hours=round(run.seconds / 3600, 2),
    )
    manifest = export_bundle(run, store, provenance, request.bundle)
    kodak = request.data / KODAK
    return _measured(run, request, kodak) if kodak.exists() else manifest


def _measured(run: Stage1Run, request: TrainingRequest, feed: Path) -> Manifest:
    """Write the bundle again, with what it does on ``feed`` in its provenance."""
    bundle = load_bundle(request.bundle)
    codec = HyperpriorCodec(bundle)
    pictures = [picture_from_bytes(row.image) for row in read_feed(feed)]
    cost = integer_cost(run.float_twin.cpu(), codec, pictures)
    provenance = bundle.manifest.provenance.model_copy(
        update={
            "kodak": kodak_rows(codec, pictures),
            "integer_cost_percent": cost.index,
            "payload_cost_percent": cost.payload,
        }
    )
    config = request.config
    return save_bundle(request.bundle, config.name, config.size, bundle.tensors, provenance)
