"""What the integers cost in rate, against a float scale branch that took the same steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shared.codecs.halves import LatentEncoder
from shared.entropy.scale_branch import SCALE_LEVELS
from shared.entropy.tables import FREQUENCY_TOTAL, FrozenTables
from shared.latents.gaussian import bin_probability
from shared.latents.hyperprior import Hyperprior, HyperpriorSymbols
from shared.pictures import Picture
from training.scale_branch import ScaleBranch

__all__ = ["IntegerCost", "integer_cost"]

#: Where a Gaussian says less than this, an escape would be written: 16 bits and the table's edge.
LEAST_PROBABILITY = 2.0**-32


def _z_bits(tables: FrozenTables, z: NDArray[np.int16], quality: int) -> float:
    first = SCALE_LEVELS + quality * len(z)
    bits = 0.0
    for channel, values in enumerate(z.reshape(len(z), -1)):
        table = tables[first + channel].astype(np.float64)
        offset = np.clip(values - tables.lows[first + channel], 0, len(table) - 1)
        bits += float(np.log2(FREQUENCY_TOTAL / table[offset]).sum())
    return bits


def _y_bits(y: NDArray[np.int16], index: NDArray[np.float64]) -> float:
    """Ideal code length of symbols under Gaussians of continuous scale indices."""
    bounded = torch.from_numpy(index).clamp(0, SCALE_LEVELS - 1)
    probability = bin_probability(torch.from_numpy(y.astype(np.float64)), bounded)
    return float(-torch.log2(probability.clamp_min(LEAST_PROBABILITY)).sum())


@dataclass(frozen=True)
class IntegerCost:
    """Extra rate in percent, one value a quality level.

    Attributes:
        index: integer scale indices against float ones, both priced by ideal Gaussians.
        payload: real payloads (frozen tables, rANS) against the float indices' ideal.
    """

    index: tuple[float, ...]
    payload: tuple[float, ...]


@torch.no_grad()
def integer_cost(
    twin: ScaleBranch, encoder: LatentEncoder, pictures: Sequence[Picture]
) -> IntegerCost:
    """Measure a bundle against the float ``twin`` that took the same training steps."""
    index_costs, payload_costs = [], []
    latent = encoder.latent
    assert isinstance(latent, Hyperprior)
    for quality in encoder.qualities:
        level = torch.tensor([quality])
        payload = integer = ideal = 0.0
        for picture in pictures:
            symbols = encoder.symbols(picture, quality)
            assert isinstance(symbols, HyperpriorSymbols)
            z = torch.from_numpy(symbols.z.astype(np.float32))[None]
            z_bits = _z_bits(latent.coder.tables, symbols.z, quality)
            payload += 8 * len(latent.compress(symbols, quality))
            integer += z_bits + _y_bits(symbols.y, symbols.index.astype(np.float64))
            ideal += z_bits + _y_bits(symbols.y, twin(z, level)[0].double().numpy())
        index_costs.append(round(100 * (integer / ideal - 1), 3))
        payload_costs.append(round(100 * (payload / ideal - 1), 3))
    return IntegerCost(tuple(index_costs), tuple(payload_costs))
