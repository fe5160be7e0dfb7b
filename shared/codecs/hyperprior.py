"""The latent codec of ``base``: y to bytes and back, through a mean-scale hyperprior.

::

    y --h_a--> round --> z ==coded with the level's tables==> z
                         |                                    |
            h_mu(z) = mu |-- scale branch(z) = index          |-- the same integers
                         v                                    v
    y - mu --> round --> symbols ==coded with table[index]==> symbols --> + mu = y_hat

mu is float and may differ in its last bits between machines: it moves y_hat by as little, and no
table depends on it. Index 0 says that the symbol is zero; such symbols are not coded at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.entropy.coder import SYMBOL_LIMIT, EntropyCoder, Indices, Symbols
from shared.entropy.scale_branch import SCALE_LEVELS, IntegerScaleBranch
from shared.entropy.tables import FrozenTables
from shared.errors import CorruptStreamError
from shared.networks.layers import QualitySequential
from shared.networks.transforms import HyperpriorSize

__all__ = ["HyperpriorLatentCodec", "LatentSymbols"]

#: y elements per coded segment: bounds the coder's working memory on large pictures.
SEGMENT = 1 << 22
#: A rANS state holds this much back; a payload's information may exceed its bits by it.
STATE_BITS = 64


@dataclass(frozen=True)
class LatentSymbols:
    """Everything that a payload holds.

    Attributes:
        z: (N, h, w) int16.
        index: (M, 4h, 4w) uint8, the table of each symbol of y; follows from z.
        y: (M, 4h, 4w) int16, ``round(y - mu)``, zero where the index is.
    """

    z: NDArray[np.int16]
    index: NDArray[np.uint8]
    y: NDArray[np.int16]


def _to_symbols(x: Tensor) -> NDArray[np.int16]:
    rounded = x[0].float().round_().clamp_(-SYMBOL_LIMIT, SYMBOL_LIMIT)
    array: NDArray[np.int16] = rounded.to(torch.int16).cpu().numpy()
    return array


class HyperpriorLatentCodec:
    """Quantisation and entropy coding of y. One picture at a time.

    Args:
        size: of the networks.
        h_a, h_mu: float networks, on the device of ``scale``.
        scale: the integer scale branch.
        tables: one a scale index, then one a quality level and channel of z.
        dtype: of the float networks' convolutions.
    """

    def __init__(
        self,
        size: HyperpriorSize,
        h_a: QualitySequential,
        h_mu: QualitySequential,
        scale: IntegerScaleBranch,
        tables: FrozenTables,
        dtype: torch.dtype,
    ) -> None:
        self.size, self.h_a, self.h_mu, self.scale = size, h_a, h_mu, scale
        self.coder = EntropyCoder(tables)
        levels, n = size.levels, size.hyper_latent
        self.device = scale.layers[0].matrix.device
        self.dtype = dtype
        # Fewest bits that one position of z takes: what a header claims can be held against it.
        cheapest = tables.cheapest_bits()[SCALE_LEVELS:].reshape(levels, n)
        self.cheapest_position = cheapest.sum(1)

    def _quality(self, quality: int) -> Tensor:
        return torch.tensor([quality], device=self.device)

    def _z_tables(self, quality: int, positions: int) -> NDArray[np.int32]:
        n = self.size.hyper_latent
        first = SCALE_LEVELS + quality * n
        return np.repeat(np.arange(first, first + n, dtype=np.int32), positions)

    def _index(self, z: NDArray[np.int16], quality: int) -> NDArray[np.uint8]:
        symbols = torch.from_numpy(z.astype(np.float64))[None].to(self.device)
        index: NDArray[np.uint8] = self.scale(symbols, quality)[0].cpu().numpy()
        return index

    def mean(self, z: NDArray[np.int16], quality: int) -> Tensor:
        """mu, (1, M, 4h, 4w) float32: what h_mu expects y to be."""
        x = torch.from_numpy(z.astype(np.float32))[None].to(self.device, self.dtype)
        out: Tensor = self.h_mu(x, self._quality(quality))
        return out.float()

    def analyse(self, y: Tensor, quality: int) -> LatentSymbols:
        """Symbols of y (1, M, H, W), H and W multiples of 4.

        Where the scale branch says zero the symbol becomes zero, here and at the decoder alike.
        """
        z = _to_symbols(self.h_a(y.to(self.dtype), self._quality(quality)))
        index = self._index(z, quality)
        symbols = _to_symbols(y.float() - self.mean(z, quality))
        symbols[index == 0] = 0
        return LatentSymbols(z, index, symbols)

    def compress(self, symbols: LatentSymbols, quality: int) -> bytes:
        """The payload of some symbols."""
        z, y, tables = symbols.z.reshape(-1), symbols.y.reshape(-1), symbols.index.reshape(-1)
        z_tables = self._z_tables(quality, z.size // self.size.hyper_latent)
        segments: list[tuple[Symbols, Indices]] = [(z, z_tables)]
        for start in range(0, y.size, SEGMENT):
            part = tables[start : start + SEGMENT]
            active = np.flatnonzero(part)
            segments.append((y[start : start + SEGMENT][active], part[active]))
        return self.coder.encode(segments)

    def decompress(self, payload: bytes, quality: int, rows: int, columns: int) -> LatentSymbols:
        """Symbols of a payload whose z has ``rows x columns`` positions.

        Raises:
            CorruptStreamError: the payload is too short for the size (found out before anything is
                allocated for it), or is not what an encoder wrote.
        """
        least = rows * columns * float(self.cheapest_position[quality]) - STATE_BITS
        if 8 * len(payload) < least:
            raise CorruptStreamError(
                f"payload is {len(payload)} bytes, a picture of this size takes over {least / 8:.0f}"
            )
        n = self.size.hyper_latent
        decoder = self.coder.open(payload)
        z = decoder.decode(self._z_tables(quality, rows * columns)).reshape(n, rows, columns)
        index = self._index(z, quality)
        tables = index.reshape(-1)
        y = np.zeros(tables.size, np.int16)
        for start in range(0, y.size, SEGMENT):
            part = tables[start : start + SEGMENT]
            active = np.flatnonzero(part)
            y[start : start + SEGMENT][active] = decoder.decode(part[active])
        decoder.finish()
        return LatentSymbols(z, index, y.reshape(index.shape))

    def bit_map(self, symbols: LatentSymbols) -> NDArray[np.float32]:
        """Ideal code length of y at each place, (H, W) float32 bits, by the tables in force."""
        bits = self.coder.tables.bits(symbols.index, symbols.y)
        bits[symbols.index == 0] = 0
        total: NDArray[np.float32] = bits.sum(0)
        return total

    def reconstruct(self, symbols: LatentSymbols, quality: int) -> Tensor:
        """y_hat, (1, M, H, W) float32."""
        return torch.from_numpy(symbols.y)[None].to(self.device) + self.mean(symbols.z, quality)
