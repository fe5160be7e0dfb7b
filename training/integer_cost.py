"""What the integers cost: real payloads against the float scale branch's ideal code length."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from shared.codecs.base import HyperpriorCodec
from shared.codecs.hyperprior import LatentSymbols
from shared.entropy.scale_branch import SCALE_LEVELS
from shared.entropy.tables import FREQUENCY_TOTAL, SCALE_MAX, SCALE_MIN
from shared.pictures import Picture
from training.scale_branch import ScaleBranch

__all__ = ["integer_cost_percent"]

LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALE_LEVELS - 1)
#: Where a Gaussian says less than this, an escape would be written: 16 bits and the table's edge.
LEAST_PROBABILITY = 2.0**-32


def _z_bits(codec: HyperpriorCodec, z: NDArray[np.int16], quality: int) -> float:
    tables = codec.latents.coder.tables
    first = SCALE_LEVELS + quality * len(z)
    bits = 0.0
    for channel, values in enumerate(z.reshape(len(z), -1)):
        table = tables[first + channel].astype(np.float64)
        offset = np.clip(values - tables.lows[first + channel], 0, len(table) - 1)
        bits += float(np.log2(FREQUENCY_TOTAL / table[offset]).sum())
    return bits


@torch.no_grad()
def _y_bits(scale: ScaleBranch, symbols: LatentSymbols, quality: int) -> float:
    z = torch.from_numpy(symbols.z.astype(np.float32))[None]
    index = scale(z, torch.tensor([quality])).double().clamp(0, SCALE_LEVELS - 1)
    sigma = SCALE_MIN * torch.exp(index * LOG_STEP)
    distance = torch.from_numpy(symbols.y.astype(np.float64)).abs()[None]
    root = math.sqrt(0.5)
    probability = 0.5 * (
        torch.erfc((distance - 0.5) / sigma * root) - torch.erfc((distance + 0.5) / sigma * root)
    )
    return float(-torch.log2(probability.clamp_min(LEAST_PROBABILITY)).sum())


def integer_cost_percent(
    scale: ScaleBranch, codec: HyperpriorCodec, pictures: Sequence[Picture]
) -> tuple[float, ...]:
    """Extra rate in percent, one value a quality level, over all pictures.

    Args:
        scale: the float branch, as it was before its integer phase.
        codec: the exported bundle. Its payloads also pay for 16-bit tables and rANS.
    """
    costs = []
    for quality in codec.qualities:
        real = ideal = 0.0
        for picture in pictures:
            symbols = codec.latents.analyse(codec.analysis(picture, quality), quality)
            real += 8 * len(codec.latents.compress(symbols, quality))
            ideal += _z_bits(codec, symbols.z, quality) + _y_bits(scale, symbols, quality)
        costs.append(round(100 * (real / ideal - 1), 3))
    return tuple(costs)
