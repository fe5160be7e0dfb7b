"""The mean-scale hyperprior: y to bytes and back, with z as side information of its own.

Minnen, Ballé, Toderici, "Joint Autoregressive and Hierarchical Priors for Learned Image
Compression" (NeurIPS 2018), without the autoregressive part::

    y --h_a--> round --> z ==coded with the level's tables==> z
                         |                                    |
            h_mu(z) = mu |-- scale branch(z) = index          |-- the same integers
                         v                                    v
    y - mu --> round --> symbols ==coded with table[index]==> symbols --> + mu = y_hat

Where the size asks for it, mu is corrected in steps by what is decoded already
(:mod:`shared.networks.context`, :mod:`shared.networks.slices`).

mu is float and may differ in its last bits between machines: it moves y_hat by as little, and no
table depends on it. Index 0 says that the symbol is zero; such symbols are not coded at all. While it
learns, the scale branch is a float network and z has an entropy bottleneck (:mod:`training.priors`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from shared.entropy.coder import SYMBOL_LIMIT, EntropyCoder, Indices, Symbols
from shared.entropy.scale_branch import SCALE_LEVELS, IntegerScaleBranch
from shared.entropy.tables import FrozenTables
from shared.errors import CorruptStreamError
from shared.latents.gaussian import bits_of_bins
from shared.latents.interface import ROUNDING, Coded, Contents, LatentCodec, Sections
from shared.latents.rounding import round_ste
from shared.latents.table_prior import TablePrior
from shared.networks.context import ContextSize, MeanContext
from shared.networks.layers import LeakyReLU, QualityGain, QualitySequential, conv3x3, subpixel
from shared.networks.precision import ready
from shared.networks.slices import SliceContext, SliceSize
from shared.networks.transforms import TransformSize

__all__ = ["Hyperprior", "HyperpriorSize", "HyperpriorSymbols"]

#: y elements per coded segment: bounds the coder's working memory on large pictures.
SEGMENT = 1 << 22
#: Layers of h_mu that end at 1/32: what a context knows of z.
FEATURES = 3
#: A rANS state holds this much back; a payload's information may exceed its bits by it.
STATE_BITS = 64


class HyperpriorSize(TransformSize):
    """Widths and depths of a mean-scale hyperprior and its transforms."""

    hyper_latent: int = Field(96, ge=1, description="channels of z")
    hyper_hidden: int = Field(128, ge=4, description="width of h_a and h_mu")
    scale_hidden: tuple[int, int] = Field(
        (96, 64), description="widths of the integer scale branch"
    )
    # Left out of the model id where there is none, so that older bundles keep theirs.
    context: ContextSize | SliceSize | None = Field(
        None, description="corrects means by what is decoded", exclude_if=lambda one: one is None
    )

    @model_validator(mode="after")
    def _slices_are_y(self) -> Self:
        if isinstance(self.context, SliceSize) and sum(self.context.widths) != self.latent:
            raise ValueError(
                f"context: slices have {sum(self.context.widths)} channels together, latent has"
                f" {self.latent}"
            )
        return self


@dataclass(frozen=True)
class HyperpriorSymbols:
    """What is coded of a picture.

    Attributes:
        z: (N, h, w) int16.
        index: (M, 4h, 4w) uint8, the table of each symbol of y; follows from z.
        y: (M, 4h, 4w) int16, ``round(y - mu)``, zero where the index is.
    """

    z: NDArray[np.int16]
    index: NDArray[np.uint8]
    y: NDArray[np.int16]

    @property
    def coded(self) -> tuple[NDArray[np.int16], ...]:
        """See :class:`LatentSymbols`."""
        return self.z, self.y


@dataclass(frozen=True)
class Rounded:
    """What is coded of y, and what comes of it, float32.

    Attributes:
        z: (B, N, h, w), integers.
        index: (B, M, 4h, 4w), scale indices.
        symbols: (B, M, 4h, 4w), ``round(y - mu)``, also of what is left out because its index is 0.
        y_hat: (B, M, 4h, 4w), what a decoder would have.
    """

    z: Tensor
    index: Tensor
    symbols: Tensor
    y_hat: Tensor


def _to_symbols(x: Tensor) -> NDArray[np.int16]:
    rounded = x[0].float().round_().clamp_(-SYMBOL_LIMIT, SYMBOL_LIMIT)
    array: NDArray[np.int16] = rounded.to(torch.int16).cpu().numpy()
    return array


class Hyperprior(LatentCodec[HyperpriorSymbols]):
    """The networks h_a and h_mu, a scale branch, a prior of z; see the module.

    Args:
        size: of the networks.

    Attributes:
        scale: z (B, N, h, w) at levels (B,) -> scale indices (B, M, 4h, 4w).
        prior: bits of each channel (B, N) of noisy z (B, N, h, w) at levels (B,).
    """

    def __init__(self, size: HyperpriorSize) -> None:
        super().__init__()
        levels, m, n, hidden = size.levels, size.latent, size.hyper_latent, size.hyper_hidden
        self.size = size
        context = ("context",) if size.context is not None else ()
        self.stream_sections = self.decoder_sections = ("h_mu", *context, "scale", "tables")
        self.sections = ("h_a", *self.stream_sections)
        self.h_a = QualitySequential(
            [
                conv3x3(m, hidden),
                LeakyReLU(),
                conv3x3(hidden, hidden, stride=2),
                LeakyReLU(),
                conv3x3(hidden, n, stride=2),
                QualityGain(levels, n),
            ]
        )
        self.h_mu = QualitySequential(
            [
                QualityGain(levels, n),
                subpixel(n, hidden, 2),
                LeakyReLU(),
                subpixel(hidden, hidden, 2, kernel=1),
                LeakyReLU(),
                conv3x3(hidden, m),
            ]
        )
        self.context: MeanContext | SliceContext | None = None
        if isinstance(size.context, SliceSize):
            self.context = SliceContext(size.context, levels, hidden)
        elif size.context is not None:
            self.context = MeanContext(size.context, levels, m, hidden)
        self.scale: Callable[[Tensor, Tensor], Tensor] | None = None
        self.prior: Callable[[Tensor, Tensor], Tensor] | None = None

    def freeze(self, sections: Sections) -> None:
        """See :meth:`LatentCodec.freeze`; h_a stays untouched where its section is missing."""
        if "h_a" in sections:
            self.h_a.load_state_dict(sections["h_a"], assign=True)
        self.h_mu.load_state_dict(sections["h_mu"], assign=True)
        if self.context is not None:
            self.context.load_state_dict(sections["context"], assign=True)
        self.scale = IntegerScaleBranch.from_tensors(sections["scale"])
        tables = FrozenTables.from_tensors(sections["tables"])
        levels, n = self.size.levels, self.size.hyper_latent
        self.prior = TablePrior(tables, SCALE_LEVELS, levels, n)
        self.coder = EntropyCoder(tables)
        # Fewest bits that one symbol of z takes: what a header claims can be held against them.
        self.cheapest = tables.cheapest_bits()[SCALE_LEVELS:].reshape(levels, n)

    def ready(self, device: torch.device, dtype: torch.dtype) -> None:
        """See :meth:`LatentCodec.ready`; a decoder has no h_a."""
        assert isinstance(self.scale, IntegerScaleBranch)
        assert isinstance(self.prior, TablePrior)
        for network in (self.h_a, self.h_mu, self.context):
            if network is not None and not next(network.parameters()).is_meta:
                ready(network, device, dtype)
        self.scale.to(device)
        self.prior.to(device)
        self.device, self.dtype = device, dtype

    def passes(
        self, z: Tensor, quality: Tensor, decode: Callable[[int, Tensor], Tensor]
    ) -> list[Tensor]:
        """The chunks of y_hat, float32, of z (B, N, h, w) at levels (B,); :meth:`joined` makes one of them.

        Args:
            decode: a step's number and the means of its chunk of y (:meth:`chunks`) -> that chunk of y_hat.
        """
        features = self.h_mu[:FEATURES](z, quality)
        mu = self.h_mu[FEATURES:](features, quality).float()
        if self.context is None:
            return [decode(0, mu)]
        return self.context.steps(mu, features, quality, decode)

    def chunks(self, x: Tensor) -> tuple[Tensor, ...]:
        """What each step decodes of (B, M, 4h, 4w); everything at once where there is no context."""
        return (x,) if self.context is None else self.context.fold(x)

    def joined(self, chunks: Sequence[Tensor]) -> Tensor:
        """The inverse of :meth:`chunks`."""
        return chunks[0] if self.context is None else self.context.unfold(chunks)

    # -- training -------------------------------------------------------------------------------

    def side(self, y: Tensor, quality: Tensor, text: Tensor | None) -> Tensor:
        """z before rounding, (B, N, h, w), of y (B, M, 4h, 4w) at levels (B,)."""
        z: Tensor = self.h_a(y, quality)
        return z

    def z_bits(self, z: Tensor, quality: Tensor) -> Tensor:
        """Bits a picture, (B,), of z (B, N, h, w), noisy or integers."""
        assert self.prior is not None
        return self.prior(z, quality).sum(1)

    def forward(self, y: Tensor, quality: Tensor, text: Tensor | None = None) -> Coded:
        """See :meth:`LatentCodec.forward`: y at any precision, bits in float32."""
        assert self.scale is not None
        y = y.float()
        z = self.side(y, quality, text).float()
        z_hat = round_ste(z)
        index = self.scale(z_hat, quality).float()
        values, coded = self.chunks(y), self.chunks(index.round() > 0)
        residuals: list[Tensor] = []

        def decode(step: int, mean: Tensor) -> Tensor:
            centred = values[step] - mean
            residuals.append(centred)
            rounded = centred.round() * coded[step]
            return mean + centred + (rounded - centred).detach()

        y_hat = self.joined(self.passes(z_hat, quality, decode))
        centred = self._counted(self.joined(residuals))
        bits = self.y_bits(centred, index) + self.z_bits(self._counted(z), quality)
        return Coded(y_hat, bits)

    def learn(self, scale: nn.Module, prior: nn.Module) -> None:
        """Become a codec that learns, with a trainable scale branch and prior of z."""
        self.scale, self.prior = scale, prior

    @torch.no_grad()
    def learnt_symbols(
        self, y: Tensor, quality: Tensor, text: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """z (B,N,h,w), scale index (B,M,4h,4w) and y's symbols (B,M,4h,4w), as they would be coded."""
        found = self.rounded(y, quality, text)
        return found.z, found.index, found.symbols * (found.index > 0)

    @torch.no_grad()
    def received(self, y: Tensor, quality: Tensor) -> Tensor:
        """See :meth:`LatentCodec.received`."""
        return self.rounded(y, quality).y_hat

    @torch.no_grad()
    def rounded(self, y: Tensor, quality: Tensor, text: Tensor | None = None) -> Rounded:
        """What would be coded of y (B, M, 4h, 4w) at levels (B,), and what would come of it."""
        assert self.scale is not None
        y = y.float()
        z_hat = self.side(y, quality, text).float().round()
        index = self.scale(z_hat, quality).float().clamp(0, SCALE_LEVELS - 1).round()
        values, coded = self.chunks(y), self.chunks(index > 0)
        symbols: list[Tensor] = []

        def decode(step: int, mean: Tensor) -> Tensor:
            symbols.append((values[step] - mean).round())
            return mean + symbols[-1] * coded[step]

        y_hat = self.joined(self.passes(z_hat, quality, decode))
        return Rounded(z_hat, index, self.joined(symbols), y_hat)

    def _counted(self, values: Tensor) -> Tensor:
        """What bits are counted for: noisy values where gradients are wanted, else rounded ones."""
        return values + torch.rand_like(values) - 0.5 if self.training else values.round()

    def y_bits(self, values: Tensor, index: Tensor) -> Tensor:
        """Bits a picture, (B,), of centred values (noisy, or real symbols) at scale indices.

        Under the Gaussians that continuous indices name. Integer ones that are 0 cost nothing.
        """
        bits = bits_of_bins(values, index)
        if isinstance(self.scale, IntegerScaleBranch):
            bits = bits * (index > 0)
        return bits.flatten(1).sum(1)

    # -- coding ---------------------------------------------------------------------------------

    def _quality(self, *levels: int) -> Tensor:
        return torch.tensor(levels, device=self.device)

    def z_tables(self, quality: int, positions: int) -> NDArray[np.int32]:
        """The tables of all that is coded of z, in its order."""
        n = self.size.hyper_latent
        first = SCALE_LEVELS + quality * n
        return np.repeat(np.arange(first, first + n, dtype=np.int32), positions)

    def z_coded(self, z: NDArray[np.int16]) -> NDArray[np.int16]:
        """What is coded of z (N, h, w), flat."""
        return z.reshape(-1)

    def z_of(self, coded: NDArray[np.int16], rows: int, columns: int) -> NDArray[np.int16]:
        """The inverse of :meth:`z_coded`, (N, rows, columns)."""
        return coded.reshape(self.size.hyper_latent, rows, columns)

    def least_bits(self, quality: int, positions: int) -> float:
        """Fewest bits that z of so many places takes."""
        return positions * float(self.cheapest[quality].sum())

    def _index(self, z: NDArray[np.int16], quality: int) -> NDArray[np.uint8]:
        assert isinstance(self.scale, IntegerScaleBranch)
        symbols = torch.from_numpy(z.astype(np.float64))[None].to(self.device)
        index: NDArray[np.uint8] = self.scale(symbols, self._quality(quality))[0].cpu().numpy()
        return index

    def _passes(
        self, z: NDArray[np.int16], levels: Sequence[int], decode: Callable[[int, Tensor], Tensor]
    ) -> list[Tensor]:
        x = torch.from_numpy(z.astype(np.float32)).to(self.device, self.dtype)
        return self.passes(x, self._quality(*levels), decode)

    def analyse(
        self, y: Tensor, quality: int, dead_zone: float = ROUNDING, text: Tensor | None = None
    ) -> HyperpriorSymbols:
        """See :meth:`LatentCodec.analyse`.

        Where the scale branch says zero the symbol becomes zero, here and at the decoder alike.
        """
        z = _to_symbols(self.side(y.to(self.dtype), self._quality(quality), text))
        index = self._index(z, quality)
        values = self.chunks(y.float())
        coded = self.chunks(torch.from_numpy(index)[None].to(self.device) > 0)
        symbols: list[Tensor] = []

        def decode(step: int, mean: Tensor) -> Tensor:
            centred = values[step] - mean
            symbol = centred.round() * (coded[step] & (centred.abs() >= dead_zone))
            symbols.append(symbol.clamp_(-SYMBOL_LIMIT, SYMBOL_LIMIT).to(torch.int16))
            return mean + symbol

        self._passes(z[None], [quality], decode)
        return HyperpriorSymbols(z, index, self.joined(symbols)[0].cpu().numpy())

    def compress(self, symbols: HyperpriorSymbols, quality: int, bottom: int = 0) -> bytes:
        """See :meth:`LatentCodec.compress`."""
        y, tables = symbols.y.reshape(-1), symbols.index.reshape(-1)
        _, rows, columns = symbols.z.shape
        z_tables = self.z_tables(quality, rows * columns)
        segments: list[tuple[Symbols, Indices]] = [(self.z_coded(symbols.z), z_tables)]
        for start in range(0, y.size, SEGMENT):
            part = tables[start : start + SEGMENT]
            active = np.flatnonzero(part)
            segments.append((y[start : start + SEGMENT][active], part[active]))
        return self.coder.encode(segments, bottom)

    def decompress(
        self, payload: bytes, quality: int, rows: int, columns: int
    ) -> Contents[HyperpriorSymbols]:
        """See :meth:`LatentCodec.decompress`; z has ``rows x columns`` positions."""
        least = self.least_bits(quality, rows * columns) - STATE_BITS
        if 8 * len(payload) < least:
            raise CorruptStreamError(
                f"payload is {len(payload)} bytes, a picture of this size takes over {least / 8:.0f}"
            )
        decoder = self.coder.open(payload)
        z = self.z_of(decoder.decode(self.z_tables(quality, rows * columns)), rows, columns)
        index = self._index(z, quality)
        tables = index.reshape(-1)
        y = np.zeros(tables.size, np.int16)
        for start in range(0, y.size, SEGMENT):
            part = tables[start : start + SEGMENT]
            active = np.flatnonzero(part)
            y[start : start + SEGMENT][active] = decoder.decode(part[active])
        symbols = HyperpriorSymbols(z, index, y.reshape(index.shape))
        return Contents(symbols, decoder.finish())

    def bit_map(self, symbols: HyperpriorSymbols) -> NDArray[np.float32]:
        """See :meth:`LatentCodec.bit_map`; by the tables in force."""
        bits = self.coder.tables.bits(symbols.index, symbols.y)
        bits[symbols.index == 0] = 0
        total: NDArray[np.float32] = bits.sum(0)
        return total

    def reconstruct(self, symbols: Sequence[HyperpriorSymbols], levels: Sequence[int]) -> Tensor:
        """See :meth:`LatentCodec.reconstruct`."""
        z = np.stack([one.z for one in symbols])
        y = torch.from_numpy(np.stack([one.y for one in symbols])).to(self.device)
        chunks = self.chunks(y)
        return self.joined(self._passes(z, levels, lambda k, mean: mean + chunks[k]))
