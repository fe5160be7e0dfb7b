"""Building blocks of the transforms: everything at 1/4 resolution or coarser, no GDN.

Shapes are ``(B, C, H, W)``; blocks keep the shape and the dtype of their input. Resolution changes
by pixel (un)shuffling, which costs a CPU much less than convolutions on the full-size picture.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "DepthwiseBlock",
    "Extra",
    "LeakyReLU",
    "QualityGain",
    "QualitySequential",
    "ResidualBlock",
    "bicubic",
    "conv3x3",
    "conv5x5",
    "subpixel",
]

#: Slope of every activation in the float transforms.
NEGATIVE_SLOPE = 0.1
#: Residual branches start small, so that a deep stack starts near the identity.
RESIDUAL_INIT = 0.3


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution with zero padding 1: the output has ``ceil(H / stride)`` rows."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)


def conv5x5(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """5x5 convolution with zero padding 2: the output has ``ceil(H / stride)`` rows."""
    return nn.Conv2d(in_channels, out_channels, 5, stride=stride, padding=2)


def subpixel(in_channels: int, out_channels: int, factor: int, kernel: int = 3) -> nn.Sequential:
    """Convolution followed by a pixel shuffle: ``(B, C, H, W) -> (B, C', factor*H, factor*W)``."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels * factor**2, kernel, padding=kernel // 2),
        nn.PixelShuffle(factor),
    )


def bicubic(x: Tensor, scale: int) -> Tensor:
    """Bicubic enlargement of small pictures, (B, C, H, W) -> (B, C, scale * H, scale * W), float32.

    As two products with the matrices of ``F.interpolate``, which a CPU does thirty times faster than that.
    """
    rows, columns = (_enlarging(side, scale, x.device) for side in x.shape[2:])
    # In bfloat16 a matrix's rows would not add up to one.
    with torch.autocast(x.device.type, enabled=False):
        return rows @ x.contiguous() @ columns.T


@lru_cache(maxsize=64)
def _enlarging(side: int, scale: int, device: torch.device) -> Tensor:
    """The matrix (scale * side, side) of a bicubic enlargement along one edge."""
    with torch.inference_mode(False):  # gradients of later calls pass it
        unit = torch.eye(side, device=device)[None, None]
        return F.interpolate(unit, size=(scale * side, side), mode="bicubic")[0, 0]


class Extra(nn.Module):
    """A block that keeps its input's shape, and so can deepen a trained network without changing it."""

    @abstractmethod
    def last_layers(self) -> tuple[nn.Conv2d, ...]:
        """The last convolution of each residual branch."""

    @torch.no_grad()
    def become_identity(self) -> None:
        """Start as ``x -> x``: the residual branches end in zeros."""
        for layer in self.last_layers():
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


class LeakyReLU(nn.LeakyReLU):
    """The transforms' activation."""

    def __init__(self) -> None:
        super().__init__(NEGATIVE_SLOPE)


class ResidualBlock(Extra):
    """``x + conv3x3(act(conv3x3(x)))``: the densest use of a CPU's matrix units."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)
        with torch.no_grad():
            self.conv2.weight.mul_(RESIDUAL_INIT)

    def last_layers(self) -> tuple[nn.Conv2d, ...]:
        return (self.conv2,)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(F.leaky_relu(self.conv1(x), NEGATIVE_SLOPE))
        return x + out


class DepthwiseBlock(Extra):
    """A depth-wise mixer over space, then a pointwise one over channels, each residual.

    Takes a third of a :class:`ResidualBlock`'s parameters at the same width, which is what lets
    the coarse stages be wide in a small bundle.
    """

    def __init__(self, channels: int, expansion: int = 2) -> None:
        super().__init__()
        hidden = channels * expansion
        self.inner = nn.Conv2d(channels, channels, 1)
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.outer = nn.Conv2d(channels, channels, 1)
        self.expand = nn.Conv2d(channels, hidden, 1)
        self.project = nn.Conv2d(hidden, channels, 1)
        with torch.no_grad():
            self.outer.weight.mul_(RESIDUAL_INIT)
            self.project.weight.mul_(RESIDUAL_INIT)

    def last_layers(self) -> tuple[nn.Conv2d, ...]:
        return self.outer, self.project

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.outer(self.spatial(F.leaky_relu(self.inner(x), NEGATIVE_SLOPE)))
        out: Tensor = self.project(F.leaky_relu(self.expand(x), NEGATIVE_SLOPE))
        return x + out


class QualityGain(nn.Module):
    """One positive gain a channel and quality level, kept as a logarithm.

    Gained variational coding (Cui et al., "Asymmetric Gained Deep Image Compression With Continuous
    Rate Adaptation", CVPR 2021): the gain before quantisation is the level's step size. Used at
    stage ends too, where it lets one set of weights serve rates forty times apart.
    """

    def __init__(self, levels: int, channels: int) -> None:
        super().__init__()
        self.log_gain = nn.Parameter(torch.zeros(levels, channels))

    def of(self, quality: Tensor) -> Tensor:
        """The gains (B, C, 1, 1) of levels (B,) int64."""
        return self.log_gain[quality].exp()[:, :, None, None]

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """``x``: (B, C, H, W); ``quality``: (B,) int64 levels. Returns (B, C, H, W)."""
        return x * self.of(quality).to(x.dtype)


class QualitySequential(nn.ModuleList):
    """A sequence whose :class:`QualityGain` members are told the quality level."""

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, quality) if isinstance(layer, QualityGain) else layer(x)
        return x
