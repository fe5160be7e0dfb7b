"""A picture's place in sentence space by a transformer over its patches: f_I of TGIC's semantic loss.

The reproduction of Jiang et al. has a transformer encoder (Vaswani et al., 2017) of three blocks with four
heads over patches of 4x4 pixels (sections 4.1 and 4.2.2)::

    x (B,3,H,W) --squashed to a square--> patches --linear, + place--> 3 blocks --mean, linear--> (B,D)

Our reading: the square has 64 pixels, so that there are 256 patches; blocks normalise first; and the vector
is one of sentence space, learnt from captions as a :class:`shared.networks.matcher.Matcher` is.
"""

from __future__ import annotations

from typing import Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.matcher import MEAN, SCALE

__all__ = ["PatchMatcher", "PatchSize"]


class PatchSize(BaseModel):
    """Widths; the numbers that the reproduction states are defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patch: int = Field(4, ge=1, description="pixels of a patch's edge")
    blocks: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    width: int = Field(ge=4, description="of each patch's vector, a multiple of heads")
    dim: int = Field(384, ge=1, description="D, of the sentence vector")
    side: int = Field(64, ge=32, description="pictures are squashed to this square")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads or self.side % self.patch:
            raise ValueError(
                f"width {self.width} is no multiple of heads {self.heads},"
                f" or side {self.side} none of patch {self.patch}"
            )
        return self


class PatchMatcher(nn.Module):
    """Pictures (B, 3, H, W) in 0..1 to unit vectors (B, D) of sentence space."""

    def __init__(self, size: PatchSize) -> None:
        super().__init__()
        self.size = size
        self.embed = nn.Conv2d(3, size.width, size.patch, stride=size.patch)
        self.place = nn.Parameter(0.02 * torch.randn((size.side // size.patch) ** 2, size.width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size.width,
                size.heads,
                4 * size.width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(size.blocks)
        )
        self.norm = nn.LayerNorm(size.width)
        self.head = nn.Linear(size.width, size.dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> (B, D) float32, unit length."""
        side = self.size.side
        if x.shape[-2:] != (side, side):
            x = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
        tokens = self.embed((x - MEAN) * SCALE).flatten(2).mT + self.place
        for block in self.blocks:
            tokens = block(tokens)
        pooled = self.norm(tokens).float().mean(1)
        return F.normalize(self.head(pooled).float(), dim=1)
