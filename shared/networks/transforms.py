"""g_a and g_s: the transforms of every system of the house, on which conditioners can be hung.

A picture becomes y and comes back, on convolutions that a CPU runs fast::

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
              gain --> y ==(latent codec: shared/latents)==> y_hat -> 1/gain

Where levels code copies of 1/2 or 1/4 of the picture's edges, g_s also enlarges: a head a scale adds, to the
bicubic enlargement of x_hat, what it makes of the stem's features.

Stages are named after their width: ``fine``, ``coarse`` and ``latent`` in g_a, ``coarse``, ``fine`` and
``stem`` in g_s; what is attached to one stands behind its last layer.

The linear path starts as the principal components of 16x16 patches, so that training begins at a
block-transform codec and the networks learn what it lacks. It costs 0.15 MMAC a latent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.layers import (
    DepthwiseBlock,
    LeakyReLU,
    QualityGain,
    ResidualBlock,
    bicubic,
    conv3x3,
    subpixel,
)
from shared.networks.stages import (
    AnalysisTransform,
    Attach,
    Conditioning,
    Stage,
    Stages,
    SynthesisTransform,
)
from shared.pictures import LUMA_WEIGHTS

__all__ = ["Y_STRIDE", "Z_STRIDE", "Analysis", "Synthesis", "TransformSize"]

#: Pixels of the picture per element of y, each way.
Y_STRIDE = 16
#: Pixels of the picture per element of z, each way; pictures are padded to a multiple of it.
Z_STRIDE = 64

BlockKind = Literal["residual", "depthwise"]


class TransformSize(BaseModel):
    """Widths and depths of g_a and g_s."""

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
    # Left out of the model id where there are none, so that older bundles keep theirs.
    scales: tuple[Literal[1, 2, 4], ...] = Field(
        (),
        description="a level each: pixels of the picture's edge per pixel that is coded; empty for 1",
        exclude_if=lambda scales: not scales,
    )

    def halo(self, coarse_reach: int = 0, fine_reach: int = 0) -> int:
        """Latents (1/16) that g_a or g_s sees on each side of one, rounded up.

        A coarse convolution reaches one latent, a fine one half of it; g_s ends in two more at 1/4.

        Args:
            coarse_reach, fine_reach: of what is attached to these stages.
        """
        coarse = 1 + self.coarse_blocks * (1 if self.coarse_kind == "depthwise" else 2)
        fine = self.fine_blocks * (1 if self.fine_kind == "depthwise" else 2) + 1
        enlarging = 1 if self.scales else 0
        return coarse + coarse_reach + -(-(fine + fine_reach) // 2) + 1 + enlarging


def _blocks(kind: BlockKind, channels: int, count: int) -> list[nn.Module]:
    block = ResidualBlock if kind == "residual" else DepthwiseBlock
    return [block(channels) for _ in range(count)]


class Analysis(AnalysisTransform):
    """g_a: (B, 3, H, W) around zero -> y (B, M, H/16, W/16), in units of the level's step.

    Args:
        size: of the network.
        at: what is attached to its stages.

    Attributes:
        halo: latents around one that it depends on.
    """

    def __init__(self, size: TransformSize, at: Mapping[str, Attach] | None = None) -> None:
        levels, fine, coarse = size.levels, size.fine, size.coarse
        super().__init__(
            [
                Stage(
                    "fine",
                    fine,
                    [
                        nn.PixelUnshuffle(4),
                        conv3x3(48, size.stem),
                        LeakyReLU(),
                        conv3x3(size.stem, fine, stride=2),
                        *_blocks(size.fine_kind, fine, size.fine_blocks),
                        QualityGain(levels, fine),
                    ],
                ),
                Stage(
                    "coarse",
                    coarse,
                    [
                        conv3x3(fine, coarse, stride=2),
                        *_blocks(size.coarse_kind, coarse, size.coarse_blocks),
                        QualityGain(levels, coarse),
                    ],
                ),
                Stage("latent", size.latent, [conv3x3(coarse, size.latent)]),
            ],
            at or {},
        )
        self.project = nn.Conv2d(3 * Y_STRIDE**2, size.latent, 1, bias=False)
        self.gain = QualityGain(levels, size.latent)
        self.latent = size.latent
        self.halo = size.halo(self.reach("coarse") + self.reach("latent"), self.reach("fine"))

    def take_over(self, other: Stages, rows: Sequence[int]) -> None:
        """See :meth:`Stages.take_over`."""
        assert isinstance(other, Analysis)
        super().take_over(other, rows)
        self.gain.load_state_dict({"log_gain": other.gain.log_gain[list(rows)]})
        self.project.load_state_dict(other.project.state_dict())

    def forward(self, x: Tensor, quality: Tensor, given: Conditioning | None = None) -> Tensor:
        """See :meth:`AnalysisTransform.forward`."""
        linear = self.project(F.pixel_unshuffle(x, Y_STRIDE))
        y: Tensor = self.gain(self.run(x, quality, given, linear)[0], quality)
        return y


def _enlarger(channels: int, scale: int) -> nn.Sequential:
    """Features (B, C, h, w) at 1/4 -> what a picture (B, 3, 4h * scale, ...) lacks; silent at first."""
    layers: list[nn.Module] = []
    for _ in range(scale.bit_length() - 1):
        layers += [subpixel(channels, channels, 2), LeakyReLU()]
    last = subpixel(channels, 3, 4)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(*layers, last)


class Synthesis(SynthesisTransform):
    """g_s: y_hat (B, M, H/16, W/16) -> (B, 3, H, W) around zero. Arguments as :class:`Analysis`'s."""

    def __init__(self, size: TransformSize, at: Mapping[str, Attach] | None = None) -> None:
        levels, fine, coarse = size.levels, size.fine, size.coarse
        super().__init__(
            [
                Stage(
                    "coarse",
                    coarse,
                    [
                        conv3x3(size.latent, coarse),
                        *_blocks(size.coarse_kind, coarse, size.coarse_blocks),
                        QualityGain(levels, coarse),
                    ],
                ),
                Stage(
                    "fine",
                    fine,
                    [
                        subpixel(coarse, fine, 2, kernel=1),
                        *_blocks(size.fine_kind, fine, size.fine_blocks),
                        QualityGain(levels, fine),
                    ],
                ),
                Stage("stem", size.stem, [subpixel(fine, size.stem, 2), LeakyReLU()]),
                Stage("picture", 3, [subpixel(size.stem, 3, 4)]),
            ],
            at or {},
        )
        self.gain = QualityGain(levels, size.latent)
        self.expand = nn.Conv2d(size.latent, 3 * Y_STRIDE**2, 1, bias=False)
        self.enlarge = nn.ModuleDict(
            {str(scale): _enlarger(size.stem, scale) for scale in sorted({*size.scales} - {1})}
        )
        self.latent = size.latent
        self.halo = size.halo(self.reach("coarse"), self.reach("fine"))

    def take_over(self, other: Stages, rows: Sequence[int]) -> None:
        """See :meth:`Stages.take_over`."""
        assert isinstance(other, Synthesis)
        super().take_over(other, rows)
        self.gain.load_state_dict({"log_gain": other.gain.log_gain[list(rows)]})
        self.expand.load_state_dict(other.expand.state_dict())
        for scale, enlarger in self.enlarge.items():
            enlarger.load_state_dict(other.enlarge[scale].state_dict())

    def masked(
        self, y_hat: Tensor, quality: Tensor, given: Conditioning | None, scale: int = 1
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See :meth:`SynthesisTransform.masked`."""
        y_hat = self.gain(y_hat, quality)
        linear = F.pixel_shuffle(self.expand(y_hat), Y_STRIDE)
        x, features, masks = self.run(y_hat, quality, given, linear)
        if scale > 1:
            x = bicubic(x.float(), scale) + self.enlarge[str(scale)](features)
        return x, masks

    def thumbnail(self, y_hat: Tensor, quality: Tensor, side: int) -> Tensor:
        """Luma (B, 1, h, w) in 0..1 of the linear expansion alone, in float32.

        Each latent gives p x p pixels, with p the least power of two that makes both edges ``side``
        pixels or more (16 at most): averaging is linear, so it is the expansion that is averaged.
        """
        p = 1
        while p < Y_STRIDE and min(y_hat.shape[2:]) * p < side:
            p *= 2
        patches = self.expand.weight.float().view(3, Y_STRIDE, Y_STRIDE, -1)
        luma = torch.einsum("c,cijm->mij", patches.new_tensor(LUMA_WEIGHTS), patches)
        weight = F.avg_pool2d(luma, Y_STRIDE // p).flatten(1).T[:, :, None, None]
        expanded = F.conv2d(self.gain(y_hat, quality).float(), weight)
        return (F.pixel_shuffle(expanded, p) + 0.5).clamp(0, 1)
