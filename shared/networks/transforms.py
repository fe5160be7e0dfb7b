"""The networks of ``base``: g_a, g_s, h_a and h_mu of a mean-scale hyperprior.

Minnen, Ballé, Toderici, "Joint Autoregressive and Hierarchical Priors for Learned Image
Compression" (NeurIPS 2018), without the autoregressive part, on transforms that a CPU runs fast::

    x (B,3,H,W)                                            x_hat (B,3,H,W)
      |------------------.                                   ^------------------.
      |  unshuffle 4     |  unshuffle 16                     |  shuffle 4       |  shuffle 16
    1/4  (stem)          |  (768)                          1/4  (stem)          |  (768)
      |  conv stride 2   |                                   ^  shuffle 2       |
    1/8  (fine) blocks   |  linear projection              1/8  (fine) blocks   |  linear expansion
      |  conv stride 2   |                                   ^  shuffle 2       |
    1/16 (coarse) blocks |                                 1/16 (coarse) blocks |
      '-------(+)--------'                                   '--------.---------'
               |                                                      |
              gain --> y ==(symbols)==> y_hat ----------------------> 1/gain
                       |                 ^
                       h_a --> z --> h_mu + scale branch (shared/entropy)

The linear path starts as the principal components of 16x16 patches, so that training begins at a
block-transform codec and the networks learn what it lacks. It costs 0.15 MMAC a latent.

The scale branch is not here: it runs on integers (:mod:`shared.entropy.scale_branch`).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.layers import (
    DepthwiseBlock,
    LeakyReLU,
    QualityGain,
    QualitySequential,
    ResidualBlock,
    conv3x3,
    subpixel,
)

__all__ = ["Y_STRIDE", "Z_STRIDE", "HyperpriorSize", "TransformSet"]

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
    scale_hidden: tuple[int, int] = Field(
        (96, 64), description="widths of the integer scale branch"
    )

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


class Analysis(nn.Module):
    """g_a: (B, 3, H, W) around zero -> y (B, M, H/16, W/16), in units of the level's step."""

    def __init__(self, size: HyperpriorSize, log_step: Tensor) -> None:
        super().__init__()
        levels, fine, coarse = size.levels, size.fine, size.coarse
        self.project = nn.Conv2d(3 * Y_STRIDE**2, size.latent, 1, bias=False)
        self.body = QualitySequential(
            [
                nn.PixelUnshuffle(4),
                conv3x3(48, size.stem),
                LeakyReLU(),
                conv3x3(size.stem, fine, stride=2),
                *_blocks(size.fine_kind, fine, size.fine_blocks),
                QualityGain(levels, fine),
                conv3x3(fine, coarse, stride=2),
                *_blocks(size.coarse_kind, coarse, size.coarse_blocks),
                QualityGain(levels, coarse),
                conv3x3(coarse, size.latent),
            ]
        )
        self.gain = QualityGain(levels, size.latent, log_step)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """``quality``: (B,) int64 levels."""
        linear = self.project(F.pixel_unshuffle(x, Y_STRIDE))
        out: Tensor = self.gain(linear + self.body(x, quality), quality)
        return out


class Synthesis(nn.Module):
    """g_s: y_hat (B, M, H/16, W/16) -> (B, 3, H, W) around zero."""

    def __init__(self, size: HyperpriorSize, log_step: Tensor) -> None:
        super().__init__()
        levels, fine, coarse = size.levels, size.fine, size.coarse
        self.gain = QualityGain(levels, size.latent, -log_step)
        self.expand = nn.Conv2d(size.latent, 3 * Y_STRIDE**2, 1, bias=False)
        self.body = QualitySequential(
            [
                conv3x3(size.latent, coarse),
                *_blocks(size.coarse_kind, coarse, size.coarse_blocks),
                QualityGain(levels, coarse),
                subpixel(coarse, fine, 2, kernel=1),
                *_blocks(size.fine_kind, fine, size.fine_blocks),
                QualityGain(levels, fine),
                subpixel(fine, size.stem, 2),
                LeakyReLU(),
                subpixel(size.stem, 3, 4),
            ]
        )

    def forward(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        """``quality``: (B,) int64 levels."""
        y_hat = self.gain(y_hat, quality)
        linear = F.pixel_shuffle(self.expand(y_hat), Y_STRIDE)
        out: Tensor = linear + self.body(y_hat, quality)
        return out


class TransformSet(nn.Module):
    """The four float networks, built from a :class:`HyperpriorSize`.

    ``log_step`` (levels,) starts the gain unit at each level's expected step size.
    """

    def __init__(self, size: HyperpriorSize, log_step: Tensor | None = None) -> None:
        super().__init__()
        levels, m, n, hidden = size.levels, size.latent, size.hyper_latent, size.hyper_hidden
        step = torch.zeros(levels) if log_step is None else log_step
        self.g_a = Analysis(size, step)
        self.g_s = Synthesis(size, step)
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
