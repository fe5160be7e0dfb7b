"""HiFiC's transforms: g_a and g_s at the size of the paper, with stages to hang conditioners on.

Mentzer et al., "High-Fidelity Generative Image Compression" (NeurIPS 2020), sizes as in its published
TensorFlow code. Every convolution but those to y and to the picture is followed by ChannelNorm (CN)::

    x (B,3,H,W)                             x_hat (B,3,H,W)
      | conv7 60, CN, ReLU                    ^ conv7 3
      | conv3/2 120, CN, ReLU                 | "up1": deconv3x2 60, CN, ReLU
      | conv3/2 240, CN, ReLU                 |   ... "up2" 120, "up4" 240
      | conv3/2 480, CN, ReLU                 | "up8": deconv3x2 480, CN, ReLU
      | conv3/2 960, CN, ReLU                 | "residual": CN, conv3 960, CN, 9 residual blocks, +
      | conv3 220                             |
      v                                       |
      y (B,220,H/16,W/16) ==============> y_hat (B,220,H/16,W/16)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from shared.networks.channel_norm import ChannelNorm
from shared.networks.layers import conv3x3
from shared.networks.stages import (
    AnalysisTransform,
    Attach,
    Conditioning,
    Stage,
    SynthesisTransform,
)

__all__ = ["HificAnalysis", "HificSize", "HificSynthesis"]

#: Halvings of the resolution in g_a, doublings in g_s.
STEPS = 4


class HificSize(BaseModel):
    """Widths; the defaults are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["hific"] = "hific"
    base: int = Field(
        60, ge=2, description="channels at full resolution, doubled at each step down"
    )
    latent: int = Field(220, ge=1, description="M, channels of y")
    residual_blocks: int = Field(9, ge=1, description="N of the paper")

    def channels(self, step: int) -> int:
        """Channels at 1/2**step resolution."""
        return self.base << step


class HificAnalysis(AnalysisTransform):
    """g_a: (B, 3, H, W) around zero -> y (B, M, H/16, W/16)."""

    #: A convolution of 7 pixels and four of stride 2, in latents, rounded up.
    halo = 3

    def __init__(self, size: HificSize, at: Mapping[str, Attach] | None = None) -> None:
        layers = [nn.Conv2d(3, size.base, 7, padding=3), ChannelNorm(size.base), nn.ReLU()]
        for step in range(1, STEPS + 1):
            before, after = size.channels(step - 1), size.channels(step)
            layers += [conv3x3(before, after, stride=2), ChannelNorm(after), nn.ReLU()]
        widest = size.channels(STEPS)
        super().__init__(
            [
                Stage("features", widest, layers),
                Stage("latent", size.latent, [conv3x3(widest, size.latent)]),
            ],
            at or {},
        )
        self.latent = size.latent

    def forward(self, x: Tensor, quality: Tensor, given: Conditioning | None = None) -> Tensor:
        """``quality`` is not read: HiFiC has a model a rate."""
        return self.run(x, quality, given)[0]


class HificSynthesis(SynthesisTransform):
    """g_s: y_hat (B, M, h, w) -> (B, 3, 16h, 16w) around zero."""

    def __init__(self, size: HificSize, at: Mapping[str, Attach] | None = None) -> None:
        stages = [Stage("residual", size.channels(STEPS), [HificResidualPart(size)])]
        for step in reversed(range(STEPS)):
            channels = size.channels(step)
            up = nn.ConvTranspose2d(
                size.channels(step + 1), channels, 3, stride=2, padding=1, output_padding=1
            )
            layers = [up, ChannelNorm(channels), nn.ReLU()]
            stages.append(Stage(f"up{1 << step}", channels, layers))
        stages.append(Stage("picture", 3, [nn.Conv2d(size.base, 3, 7, padding=3)]))
        super().__init__(stages, at or {})
        self.latent = size.latent
        self.halo = 2 * size.residual_blocks + 2 + self.reach("residual") + 2

    def masked(
        self, y_hat: Tensor, quality: Tensor, given: Conditioning | None, scale: int = 1
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See :meth:`SynthesisTransform.masked`; ``quality`` is not read, and there is one scale."""
        x, _, masks = self.run(y_hat, quality, given)
        return x, masks


class HificResidualPart(nn.Module):
    """g_s at 1/16 resolution: a head, residual blocks and a long skip around them."""

    def __init__(self, size: HificSize) -> None:
        super().__init__()
        widest = size.channels(STEPS)
        self.head = nn.Sequential(
            ChannelNorm(size.latent), conv3x3(size.latent, widest), ChannelNorm(widest)
        )
        self.blocks = nn.Sequential(
            *(HificResidualBlock(widest) for _ in range(size.residual_blocks))
        )

    def forward(self, y_hat: Tensor) -> Tensor:
        """(B, M, h, w) -> (B, 960, h, w)."""
        head = self.head(y_hat)
        out: Tensor = head + self.blocks(head)
        return out


class HificResidualBlock(nn.Module):
    """``x + CN(conv3(ReLU(CN(conv3(x)))))``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv3x3(channels, channels),
            ChannelNorm(channels),
            nn.ReLU(),
            conv3x3(channels, channels),
            ChannelNorm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        out: Tensor = self.body(x)
        return x + out
