"""A picture's place in sentence space, and a distance of pictures by what is seen on the way there.

A small residual network (He et al., CVPR 2016) maps a picture to the space of the sentence encoder's
vectors: the cosine to a caption's vector says how well the words fit (as CLIP does, Radford et al. 2021).
One that reads RGB notices a wrong colour; the guard's reads luma alone. Feature maps carry a perceptual
distance in the manner of LPIPS (Zhang et al., CVPR 2018), without fitted channel weights; it is called
``feature_distance`` here and is none of the published measures.

::

    x (B,C,H,W) -> conv5/2 -> conv3/2 -> [conv3/2, residual block] x 3 -> mean over space of the
                     1/2        1/4          1/8, 1/16, 1/32               last two, linear -> (B,D)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Matcher", "MatcherSize", "feature_distance"]

#: Pictures in 0..1 are brought to about zero mean and unit variance.
MEAN, SCALE = 0.45, 4.0
#: Guards the square root of an all-zero feature vector, in squared activations.
TINY = 1e-4


class MatcherSize(BaseModel):
    """Widths of the matcher."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: tuple[int, int, int, int, int] = Field(description="channels at 1/2 to 1/32 resolution")
    channels: Literal[1, 3] = Field(3, description="C of the pictures: RGB, or luma alone")
    dim: int = Field(384, ge=1, description="D, of the sentence vector")
    side: int = Field(112, ge=32, description="pictures are squashed to this square to be matched")


class _Halving(nn.Module):
    """Convolution of stride 2, batch-normalised, ReLU: (B, C, H, W) -> (B, C', ceil(H/2), ceil(W/2))."""

    def __init__(self, in_channels: int, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, 2, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class _Residual(nn.Module):
    """ResNet's basic block: keeps the shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(out)))


class Matcher(nn.Module):
    """Pictures (B, C, H, W) in 0..1 to unit vectors (B, D) of sentence space."""

    def __init__(self, size: MatcherSize) -> None:
        super().__init__()
        self.size = size
        widths = size.widths
        first, second = _Halving(size.channels, widths[0], 5), _Halving(widths[0], widths[1])
        self.stages = nn.ModuleList([first, second])
        for i in (1, 2, 3):
            halving = _Halving(widths[i], widths[i + 1])
            self.stages.append(nn.Sequential(halving, _Residual(widths[i + 1])))
        self.head = nn.Linear(widths[-2] + widths[-1], size.dim)

    def feature_maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """One map a resolution, 1/2 to 1/32, of pictures (B, C, H, W) in 0..1 at their own size."""
        x = (x - MEAN) * SCALE
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in 0..1, squashed to the matcher's square -> (B, D) float32, unit length."""
        side = self.size.side
        if x.shape[-2:] != (side, side):
            x = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
        maps = self.feature_maps(x)
        pooled = torch.cat([m.float().mean((2, 3)) for m in maps[-2:]], 1)
        return F.normalize(self.head(pooled).float(), dim=1)


def feature_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Distance (B,) of two pictures' feature maps, 0 for equal ones, at most 2; differentiable.

    LPIPS's form: at each place both feature vectors are brought to unit length; the squared difference
    is averaged over space, then over the stages.
    """
    stages = []
    for one, other in zip(a, b, strict=True):
        difference = _unit(one.float()) - _unit(other.float())
        stages.append(difference.square().sum(1).mean((1, 2)))
    return torch.stack(stages).mean(0)


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(1, keepdim=True) + TINY)
