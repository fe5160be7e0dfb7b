"""From a trained run to a bundle: half-precision networks, integer scale branch, frozen tables."""

from __future__ import annotations

from pathlib import Path

import torch

from shared.bundle import Manifest, Provenance, half, save_bundle
from training.data import PictureStore
from training.loop import Stage1Run
from training.tables import fit_tables

__all__ = ["export_bundle"]

#: Batches of training crops that the tables are fitted on, drawn behind all steps of a run.
TABLE_BATCHES = 100
TABLE_STEP = 2**41


@torch.no_grad()
def export_bundle(
    run: Stage1Run, store: PictureStore, provenance: Provenance, folder: Path
) -> Manifest:
    """Write the bundle of a run that has finished its integer phase."""
    config, model = run.config, run.model
    tensors = {name: half(tensor) for name, tensor in model.transforms.state_dict().items()}
    tensors |= {f"scale.{name}": tensor for name, tensor in model.scale.export().items()}
    steps = range(TABLE_STEP, TABLE_STEP + TABLE_BATCHES)
    tables = fit_tables(model, (run.batch(store, step) for step in steps))
    tensors |= {f"tables.{name}": tensor for name, tensor in tables.to_tensors().items()}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    return save_bundle(folder, config.name, config.size, tensors, provenance)
