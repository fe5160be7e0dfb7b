"""From a trained run to a bundle: half-precision networks, the integer scale branch, frozen tables."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.bundle import Manifest, Provenance, half, save_bundle
from shared.entropy.tables import TAIL_MASS, FrozenTables, gaussian_tables, quantise_pmf
from training.config import Stage1Config
from training.stage1 import RateDistortionModel

__all__ = ["export_bundle", "z_tables"]

#: Symbols of z that the search for a table's ends looks at, on each side of zero.
Z_SEARCH = 500


@torch.no_grad()
def z_tables(model: RateDistortionModel) -> list[tuple[int, NDArray[np.uint16]]]:
    """One ``(low, frequencies)`` pair a quality level and channel of z, from the trained prior."""
    prior = copy.deepcopy(model.prior).double().cpu()
    channels = model.size.levels * model.size.hyper_latent
    edges = torch.arange(-Z_SEARCH, Z_SEARCH + 2, dtype=torch.float64) - 0.5
    logits: Tensor = prior._logits_cumulative(edges.repeat(channels, 1, 1), stop_gradient=True)
    tables = []
    for cdf in torch.sigmoid(logits[:, 0]).numpy():
        # The outermost symbols are escapes: at most TAIL_MASS each, and on both sides of zero.
        low = min(int(np.searchsorted(cdf, TAIL_MASS)) - 1 - Z_SEARCH - 1, -1)
        high = max(int(np.searchsorted(cdf, 1 - TAIL_MASS)) - Z_SEARCH, 1)
        low, high = max(low, -Z_SEARCH), min(high, Z_SEARCH)
        kept = cdf[low + Z_SEARCH : high + Z_SEARCH + 2].copy()
        kept[0], kept[-1] = 0.0, 1.0
        tables.append((low, quantise_pmf(np.diff(kept))))
    return tables


@torch.no_grad()
def export_bundle(
    model: RateDistortionModel, config: Stage1Config, provenance: Provenance, folder: Path
) -> Manifest:
    """Write the bundle of a model that has finished its integer phase."""
    tensors = {name: half(tensor) for name, tensor in model.transforms.state_dict().items()}
    tensors |= {f"scale.{name}": tensor for name, tensor in model.scale.export().items()}
    tables = FrozenTables.pack(gaussian_tables() + z_tables(model))
    tensors |= {f"tables.{name}": tensor for name, tensor in tables.to_tensors().items()}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    return save_bundle(folder, config.name, config.size, tensors, provenance)
