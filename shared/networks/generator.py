"""G of the small ``ssa``: base's synthesis, deepened, with an SSA block at the end of each part.

::

    y_hat (B,M,H/16,W/16) --1/gain--.-------------------------------.
                                    v                               |
       residual part 1/16:  conv, coarse blocks, SSA                | linear expansion
                                    v                               | (16x16 patches)
       upsampling to 1/8:   fine blocks, SSA                        |
                                    v                               |
       upsampling to 1/4:   stem, SSA                               |
                                    v                               |
       two 2x as one shuffle of 4 ---------------(+)----------------'
                                                  v
                                          x_hat (B,3,H,W) around zero

Our reading of "an SSA block ends each part": the last two upsamplings are one pixel shuffle without
features in between, so four parts have three blocks. Started from the frozen stream's own g_s
(:meth:`SsaGenerator.start_from`), the generator begins as that and learns what words add.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from shared.levels import LUMA_WEIGHTS
from shared.networks.layers import (
    DepthwiseBlock,
    LeakyReLU,
    QualityGain,
    QualitySequential,
    ResidualBlock,
    conv3x3,
    subpixel,
)
from shared.networks.ssa import Conditioning, SemanticSpatialBlock
from shared.networks.transforms import Y_STRIDE, Synthesis

__all__ = ["GeneratorSize", "SsaGenerator"]


class GeneratorSize(BaseModel):
    """Widths and depths of the small generator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: int = Field(4, ge=1, le=64)
    latent: int = Field(192, ge=1, description="M, channels of y_hat")
    coarse: int = Field(256, ge=4, description="channels at 1/16 resolution")
    fine: int = Field(128, ge=4, description="channels at 1/8 resolution")
    stem: int = Field(64, ge=4, description="channels at 1/4 resolution")
    coarse_blocks: int = Field(4, ge=0)
    fine_blocks: int = Field(3, ge=0)
    text_width: int = Field(384, ge=1, description="D of the sentence vector")
    text_hidden: int = Field(192, ge=1)
    mask_hidden: int = Field(64, ge=1)

    @property
    def receptive_radius(self) -> int:
        """Latents that G sees on each side of one, rounded up; every mask sees one place more."""
        fine = 2 * self.fine_blocks + 2
        return 1 + self.coarse_blocks + 1 + -(-fine // 2) + 1


class SsaGenerator(nn.Module):
    """G: y_hat (B, M, H/16, W/16), level (B,) and words -> picture (B, 3, H, W) around zero."""

    def __init__(self, size: GeneratorSize) -> None:
        super().__init__()
        levels = size.levels

        def ssa(channels: int) -> SemanticSpatialBlock:
            return SemanticSpatialBlock(
                channels, size.text_width, size.text_hidden, size.mask_hidden
            )

        self.gain = QualityGain(levels, size.latent)
        self.expand = nn.Conv2d(size.latent, 3 * Y_STRIDE**2, 1, bias=False)
        self.residual_part = QualitySequential(
            [
                conv3x3(size.latent, size.coarse),
                *(DepthwiseBlock(size.coarse) for _ in range(size.coarse_blocks)),
                QualityGain(levels, size.coarse),
            ]
        )
        self.residual_ssa = ssa(size.coarse)
        self.fine_part = QualitySequential(
            [
                subpixel(size.coarse, size.fine, 2, kernel=1),
                *(ResidualBlock(size.fine) for _ in range(size.fine_blocks)),
                QualityGain(levels, size.fine),
            ]
        )
        self.fine_ssa = ssa(size.fine)
        self.stem_part = nn.Sequential(subpixel(size.fine, size.stem, 2), LeakyReLU())
        self.stem_ssa = ssa(size.stem)
        self.picture_part = subpixel(size.stem, 3, 4)

    def forward(self, y_hat: Tensor, quality: Tensor, words: Conditioning) -> Tensor:
        """``quality``: (B,) int64 levels. Returns (B, 3, H, W)."""
        return self.masked(y_hat, quality, words)[0]

    def masked(
        self, y_hat: Tensor, quality: Tensor, words: Conditioning
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The picture, and the masks at 1/16, 1/8 and 1/4 resolution, (B, 1, h, w) each."""
        y_hat = self.gain(y_hat, quality)
        linear = F.pixel_shuffle(self.expand(y_hat), Y_STRIDE)
        y, coarse_mask = self.residual_ssa.masked(self.residual_part(y_hat, quality), words)
        y, fine_mask = self.fine_ssa.masked(self.fine_part(y, quality), words)
        y, stem_mask = self.stem_ssa.masked(self.stem_part(y), words)
        return linear + self.picture_part(y), (coarse_mask, fine_mask, stem_mask)

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

    @torch.no_grad()
    def start_from(self, synthesis: Synthesis, rows: Sequence[int]) -> None:
        """Take over a trained g_s of the same widths; blocks that it lacks start as the identity.

        Args:
            synthesis: of the frozen stream, float weights, coarse blocks depth-wise.
            rows: for each level of this generator, the level of ``synthesis`` whose gains it takes.
        """
        self.gain.load_state_dict({"log_gain": synthesis.gain.log_gain[list(rows)]})
        self.expand.load_state_dict(synthesis.expand.state_dict())
        theirs = list(synthesis.body)
        gains = [i for i, layer in enumerate(theirs) if isinstance(layer, QualityGain)]
        coarse, fine = theirs[: gains[0] + 1], theirs[gains[0] + 1 : gains[1] + 1]
        for part, layers in ((self.residual_part, coarse), (self.fine_part, fine)):
            own = list(part)
            for mine, other in zip(own[: len(layers) - 1], layers[:-1], strict=True):
                mine.load_state_dict(other.state_dict())
            gain = layers[-1]
            assert isinstance(gain, QualityGain)
            own[-1].load_state_dict({"log_gain": gain.log_gain[list(rows)]})
            for extra in own[len(layers) - 1 : -1]:
                assert isinstance(extra, DepthwiseBlock)
                for last in (extra.outer, extra.project):
                    nn.init.zeros_(last.weight)
                    if last.bias is not None:
                        nn.init.zeros_(last.bias)
        stem, _, picture = theirs[gains[1] + 1 :]
        self.stem_part[0].load_state_dict(stem.state_dict())
        self.picture_part.load_state_dict(picture.state_dict())
