"""E, P and G of Qin et al., fig. 4, whichever networks they are, as one module to train.

::

    x --E--> y --P--> y_hat, bits --G(text)--> x_hat

The words reach G alone. With a zero vector G runs without text; that is also how "without G text" is
trained. A block of G starts as the identity (:mod:`shared.networks.ssa`), so that before the first step
every text gives the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from compressai.entropy_models import EntropyBottleneck
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.ssa import Conditioning, SemanticSpatialBlock

__all__ = ["Coded", "Generator", "PaperSystem", "Part", "Prior", "SystemOutput", "bits_of"]


@dataclass(frozen=True)
class Coded:
    """What an entropy model makes of y.

    Attributes:
        y_hat: (B, M, h, w) rounded, with gradients passed straight through.
        noisy_bits: (B,) under uniform noise, for the loss.
        bits: (B,) of the rounded values, without gradient: what a stream would take.
    """

    y_hat: Tensor
    noisy_bits: Tensor
    bits: Tensor


@dataclass(frozen=True)
class SystemOutput:
    """One pass: picture (B, 3, H, W) around 0..1, and rates in bits a true pixel, (B,) each."""

    x_hat: Tensor
    y_hat: Tensor
    noisy_bpp: Tensor
    bpp: Tensor
    masks: tuple[Tensor, ...]


class Prior(nn.Module):
    """P: y -> :class:`Coded`; z is coded by an entropy bottleneck."""

    def __init__(self, bottleneck: EntropyBottleneck) -> None:
        super().__init__()
        self.entropy_bottleneck = bottleneck

    def forward(self, y: Tensor) -> Coded:
        """``y``: (B, M, h, w)."""
        raise NotImplementedError

    def auxiliary_loss(self) -> Tensor:
        """Moves the bottleneck's quantiles, which tables are made from; touches nothing else."""
        loss: Tensor = self.entropy_bottleneck.loss()
        return loss


class Generator(nn.Module):
    """G: y_hat and words -> picture."""

    def masked(self, y_hat: Tensor, words: Conditioning) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The picture (B, 3, 16h, 16w) around 0..1, and each SSA block's mask (B, 1, ., .)."""
        raise NotImplementedError

    def forward(self, y_hat: Tensor, words: Conditioning) -> Tensor:
        """The picture alone."""
        return self.masked(y_hat, words)[0]


class Part(nn.Module):
    """A stretch of a generator, and the SSA block that ends it."""

    def __init__(self, layers: nn.Module, block: SemanticSpatialBlock) -> None:
        super().__init__()
        self.layers = layers
        self.block = block

    def forward(self, y: Tensor, words: Conditioning) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> features (B, C', h', w') and the mask (B, 1, h', w')."""
        return self.block.masked(self.layers(y), words)


class PaperSystem(nn.Module):
    """The three networks that are trained together.

    Args:
        encoder: E, x in 0..1 -> y.
        prior: P.
        generator: G.
        stride: pixels that a picture's sides are padded to a multiple of.
    """

    def __init__(
        self, encoder: nn.Module, prior: Prior, generator: Generator, *, stride: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.prior = prior
        self.generator = generator
        self.stride = stride

    def padded(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) with the last row and column repeated up to a multiple of the stride."""
        height, width = x.shape[-2:]
        margins = (0, -width % self.stride, 0, -height % self.stride)
        return F.pad(x, margins, mode="replicate")

    def forward(self, x: Tensor, words: Conditioning) -> SystemOutput:
        """``x``: (B, 3, H, W) in 0..1, of any size."""
        height, width = x.shape[-2:]
        coded: Coded = self.prior(self.encoder(self.padded(x)))
        x_hat, masks = self.generator.masked(coded.y_hat, words)
        pixels = height * width
        return SystemOutput(
            x_hat=x_hat[..., :height, :width],
            y_hat=coded.y_hat,
            noisy_bpp=coded.noisy_bits / pixels,
            bpp=coded.bits / pixels,
            masks=masks,
        )


def bits_of(*likelihoods: Tensor) -> Tensor:
    """Bits a picture, (B,), of values (B, ...) with these probabilities."""
    return torch.stack([-values.log2().flatten(1).sum(1) for values in likelihoods]).sum(0)
