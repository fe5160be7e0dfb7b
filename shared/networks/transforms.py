"""The networks of ``base``: g_a, g_s, h_a and h_mu of a mean-scale hyperprior.

Minnen, Ballé, Toderici, "Joint Autoregressive and Hierarchical Priors for Learned Image
Compression" (NeurIPS 2018), without the autoregressive part, on transforms that a CPU runs fast::

    x (B,3,H,W)                                            x_hat (B,3,H,W)
      |  unshuffle 4, conv                                   ^  conv, shuffle 4
    1/4  (stem)                                            1/4  (stem)
      |  conv stride 2, blocks, gain                         ^  blocks, gain, conv, shuffle 2
    1/8  (fine)                                            1/8  (fine)
      |  conv stride 2, blocks, gain                         ^  blocks, gain, conv, shuffle 2
    1/16 (coarse) -- conv, gain --> y ==(symbols)==> y_hat -- gain, conv
                                    |                 ^
                                    h_a --> z --> h_mu + scale branch (shared/entropy)

The scale branch is not here: it runs on integers (:mod:`shared.entropy.scale_branch`).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from shared.networks.layers import (
    DepthwiseBlock,
    LeakyReLU,
    QualityGain,
    QualitySequential,
    ResidualBlock,
    conv3x3,
    subpixel,
)

__all__ = ["HyperpriorSize", "TransformSet", "Y_STRIDE", "Z_STRIDE"]

#: Pixels of the picture per element of y, each way.
Y_STRIDE = 16
#: Pixels of the picture per element of z, each way; pictures are padded to a multiple of it.
Z_STRIDE = 64

BlockKind = Literal["residual", "depthwise"]


class HyperpriorSize(BaseModel):
    """Widths and depths of a mean-scale hyperprior: all that is needed to build its networks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: int = Field(8, ge=1, le=64, description="quality levels in the bundle")
    stem: int = Field(64, ge=4, description="channels at 1/4 resolution")
    fine: int = Field(128, ge=4, description="channels at 1/8 resolution")
    coarse: int = Field(256, ge=4, description="channels at 1/16 resolution")
    fine_blocks: int = Field(3, ge=0)
    coarse_blocks: int = Field(2, ge=0)
    fine_kind: BlockKind = "residual"
    coarse_kind: BlockKind = "depthwise"
    latent: int = Field(192, ge=1, description="M, channels of y")
    hyper_latent: int = Field(96, ge=1, description="channels of z")
    hyper_hidden: int = Field(128, ge=4, description="width of h_a and h_mu")
    scale_hidden: tuple[int, int] = Field((96, 64), description="widths of the integer scale branch")

    @property
    def receptive_radius(self) -> int:
        """Latents (1/16) that g_a or g_s sees on each side of one, rounded up.

        A coarse convolution reaches one latent, a fine one half of it; g_s ends in two more at 1/4.
        """
        coarse = 1 + self.coarse_blocks * (1 if self.coarse_kind == "depthwise" else 2)
        fine = self.fine_blocks * (1 if self.fine_kind == "depthwise" else 2) + 1
        return coarse + -(-fine // 2) + 1


def _blocks(kind: BlockKind, channels: int, count: int) -> list[nn.Module]:
    block = ResidualBlock if kind == "residual" else DepthwiseBlock
    return [block(channels) for _ in range(count)]


class TransformSet(nn.Module):
    """The four float networks, built from a :class:`HyperpriorSize`.

    ``initial_log_gain`` (levels,) starts the gain unit at each level's expected step size.
    """

    def __init__(self, size: HyperpriorSize, initial_log_gain: Tensor | None = None) -> None:
        super().__init__()
        levels, stem, fine, coarse = size.levels, size.stem, size.fine, size.coarse
        m, n, hidden = size.latent, size.hyper_latent, size.hyper_hidden
        step = torch.zeros(levels) if initial_log_gain is None else initial_log_gain

        self.g_a = QualitySequential(
            [
                nn.PixelUnshuffle(4),
                conv3x3(48, stem),
                LeakyReLU(),
                conv3x3(stem, fine, stride=2),
                *_blocks(size.fine_kind, fine, size.fine_blocks),
                QualityGain(levels, fine),
                conv3x3(fine, coarse, stride=2),
                *_blocks(size.coarse_kind, coarse, size.coarse_blocks),
                QualityGain(levels, coarse),
                conv3x3(coarse, m),
                QualityGain(levels, m, step),
            ]
        )
        self.g_s = QualitySequential(
            [
                QualityGain(levels, m, -step),
                conv3x3(m, coarse),
                *_blocks(size.coarse_kind, coarse, size.coarse_blocks),
                QualityGain(levels, coarse),
                subpixel(coarse, fine, 2, kernel=1),
                *_blocks(size.fine_kind, fine, size.fine_blocks),
                QualityGain(levels, fine),
                subpixel(fine, stem, 2),
                LeakyReLU(),
                subpixel(stem, 3, 4),
            ]
        )
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
