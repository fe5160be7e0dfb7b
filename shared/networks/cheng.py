"""Cheng et al.'s transforms, of CompressAI's blocks, cut into stages at their resampling layers.

Cheng et al., "Learned Image Compression with Discretized Gaussian Mixture Likelihoods and Attention Modules"
(CVPR 2020). Stages of g_s, as in Qin et al., section 4.5, which cut it at its four upsamplings::

    y_hat (B,192,h,w)
      | "up8": attention, residual, upsampling 192
      | "up4": residual, upsampling 192
      | "up2": attention, residual, upsampling 192
      | "picture": residual, sub-pixel convolution to 3
      v
    x_hat (B,3,16h,16w)

Fu et al. take them without attention, narrower inside than y is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.layers import conv3x3, subpixel
from shared.networks.stages import (
    AnalysisTransform,
    Attach,
    Conditioning,
    Stage,
    SynthesisTransform,
)

__all__ = ["ChengAnalysis", "ChengSize", "ChengSynthesis"]


class ChengSize(BaseModel):
    """Widths; the default is the papers'."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cheng"] = "cheng"
    latent: int = Field(192, ge=2, multiple_of=2, description="channels of y")
    # Left out of the model id where they are as in the paper, so that bundles from before them keep theirs.
    width: int | None = Field(
        None,
        ge=2,
        multiple_of=2,
        description="N, channels inside; as many as y has where there is none",
        exclude_if=lambda width: width is None,
    )
    attention: bool = Field(True, exclude_if=lambda attention: attention)


def _block(kind: str, *channels: int) -> nn.Module:
    """One of CompressAI's blocks, by its name there."""
    # CompressAI takes seconds to import, and nobody needs it who does not build this.
    from compressai import layers  # noqa: PLC0415

    wanted = torch.get_default_device()
    with torch.device("cpu"):  # its GDN cannot be made where tensors have no numbers
        block: nn.Module = getattr(layers, kind)(*channels)
    return block.to(wanted)


def _attention(size: ChengSize, channels: int) -> list[nn.Module]:
    return [_block("AttentionBlock", channels)] if size.attention else []


def _residual(before: int, after: int) -> nn.Module:
    return _block("ResidualBlock", before, after)


class EveryOther(nn.Conv2d):
    """A 1x1 convolution of stride 2, computed as one of stride 1 over every other row and column.

    The gradient that oneDNN has of the former on CPUs with AVX2 alone writes past its memory where fewer than
    eight channels go in (uxlfoundation/oneDNN issue 6035, open in November 2026).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, N, H/2, W/2)."""
        return F.conv2d(x[:, :, ::2, ::2], self.weight, self.bias)


def _down(before: int, after: int) -> nn.Module:
    block = _block("ResidualBlockWithStride", before, after)
    skip = block.skip
    assert isinstance(skip, nn.Conv2d)
    with torch.device("meta"):  # it takes the other's weights
        block.skip = EveryOther(before, after, kernel_size=1, stride=2)
    block.skip.weight, block.skip.bias = skip.weight, skip.bias
    return block


def _up(before: int, after: int) -> nn.Module:
    return _block("ResidualBlockUpsample", before, after)


def _casting(x: Tensor) -> AbstractContextManager[object]:
    """Where features are bfloat16, GDN's parameters, which stay float32, are cast as they are read."""
    if x.dtype != torch.bfloat16:
        return nullcontext()
    return torch.autocast(x.device.type, torch.bfloat16)


class ChengAnalysis(AnalysisTransform):
    """g_a: (B, 3, H, W) around zero -> y (B, M, H/16, W/16)."""

    halo = 12

    def __init__(self, size: ChengSize, at: Mapping[str, Attach] | None = None) -> None:
        n, m = size.width or size.latent, size.latent
        layers = [_down(3, n), _residual(n, n), _down(n, n)]
        layers += [*_attention(size, n), _residual(n, n), _down(n, n)]
        layers += [_residual(n, n), conv3x3(n, m, stride=2), *_attention(size, m)]
        super().__init__([Stage("latent", m, layers)], at or {})
        self.latent = m

    def forward(self, x: Tensor, quality: Tensor, given: Conditioning | None = None) -> Tensor:
        """``quality`` is not read: there is a model a rate."""
        with _casting(x):
            return self.run(x, quality, given)[0]


class ChengSynthesis(SynthesisTransform):
    """g_s: y_hat (B, M, h, w) -> (B, 3, 16h, 16w) around zero."""

    halo = 12

    def __init__(self, size: ChengSize, at: Mapping[str, Attach] | None = None) -> None:
        n, m = size.width or size.latent, size.latent
        super().__init__(
            [
                Stage("up8", n, [*_attention(size, m), _residual(m, n), _up(n, n)]),
                Stage("up4", n, [_residual(n, n), _up(n, n)]),
                Stage("up2", n, [*_attention(size, n), _residual(n, n), _up(n, n)]),
                Stage("picture", 3, [_residual(n, n), subpixel(n, 3, 2)]),
            ],
            at or {},
        )
        self.latent = m

    def masked(
        self, y_hat: Tensor, quality: Tensor, given: Conditioning | None, scale: int = 1
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See :meth:`SynthesisTransform.masked`; ``quality`` is not read, and there is one scale."""
        with _casting(y_hat):
            x, _, masks = self.run(y_hat, quality, given)
        return x, masks
