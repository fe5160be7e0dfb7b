"""ELIC's transforms: g_a and g_s at the size of the paper, with stages to hang conditioners on.

He et al., "ELIC: Efficient Learned Image Compression with Unevenly Grouped Space-Channel Contextual Adaptive
Coding" (CVPR 2022). Each stage changes the resolution once; blocks are bottlenecks, and there is no GDN::

    x (B,3,H,W)                                          x_hat (B,3,H,W)
      | "stem":    conv5/2 192, 3 blocks                   ^ "picture": deconv5x2 3
      | "quarter": conv5/2 192, 3 blocks                   | "up2":     deconv5x2 192, 3 blocks
      | "eighth":  attention, conv5/2 192, 3 blocks        | "up4":     deconv5x2 192, attention, 3 blocks
      | "latent":  conv5/2 320, attention                  | "up8":     attention, deconv5x2 192, 3 blocks
      v                                                    |
      y (B,320,H/16,W/16) ===========================> y_hat (B,320,H/16,W/16)

Attention is Cheng et al.'s (CVPR 2020), as CompressAI builds it: a mask from residual units, nothing global.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from shared.networks.layers import conv3x3, conv5x5
from shared.networks.stages import (
    AnalysisTransform,
    Attach,
    Conditioning,
    Stage,
    Stages,
    SynthesisTransform,
)

__all__ = ["ElicAnalysis", "ElicSize", "ElicSynthesis"]

#: Bottleneck blocks in a row.
BLOCKS = 3
#: Pixels on each side of one that either transform sees, without what is attached to it.
REACH = 132


class ElicSize(BaseModel):
    """Widths; the defaults are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["elic"] = "elic"
    width: int = Field(192, ge=2, multiple_of=2, description="N, channels inside")
    latent: int = Field(320, ge=2, multiple_of=2, description="M, channels of y")


class ElicAnalysis(AnalysisTransform):
    """g_a: (B, 3, H, W) around zero -> y (B, M, H/16, W/16)."""

    def __init__(self, size: ElicSize, at: Mapping[str, Attach] | None = None) -> None:
        n, m = size.width, size.latent
        super().__init__(
            [
                Stage("stem", n, [conv5x5(3, n, stride=2), *_blocks(n)]),
                Stage("quarter", n, [conv5x5(n, n, stride=2), *_blocks(n)]),
                Stage("eighth", n, [_attention(n), conv5x5(n, n, stride=2), *_blocks(n)]),
                Stage("latent", m, [conv5x5(n, m, stride=2), _attention(m)]),
            ],
            at or {},
        )
        self.latent = m
        self.halo = _halo(self, {"stem": 2, "quarter": 4, "eighth": 8, "latent": 16})

    def forward(self, x: Tensor, quality: Tensor, given: Conditioning | None = None) -> Tensor:
        """``quality`` is not read: ELIC has a model a rate."""
        return self.run(x, quality, given)[0]


class ElicSynthesis(SynthesisTransform):
    """g_s: y_hat (B, M, h, w) -> (B, 3, 16h, 16w) around zero."""

    def __init__(self, size: ElicSize, at: Mapping[str, Attach] | None = None) -> None:
        n, m = size.width, size.latent
        super().__init__(
            [
                Stage("up8", n, [_attention(m), _deconv(m, n), *_blocks(n)]),
                Stage("up4", n, [_deconv(n, n), _attention(n), *_blocks(n)]),
                Stage("up2", n, [_deconv(n, n), *_blocks(n)]),
                Stage("picture", 3, [_deconv(n, 3)]),
            ],
            at or {},
        )
        self.latent = m
        self.halo = _halo(self, {"up8": 8, "up4": 4, "up2": 2, "picture": 1})

    def masked(
        self, y_hat: Tensor, quality: Tensor, given: Conditioning | None, scale: int = 1
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See :meth:`SynthesisTransform.masked`; ``quality`` is not read, and there is one scale."""
        x, _, masks = self.run(y_hat, quality, given)
        return x, masks


class BottleneckBlock(nn.Module):
    """``x + conv1(ReLU(conv3(ReLU(conv1(x)))))``, half as wide inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside = channels // 2
        self.body = nn.Sequential(
            nn.Conv2d(channels, inside, 1),
            nn.ReLU(),
            conv3x3(inside, inside),
            nn.ReLU(),
            nn.Conv2d(inside, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        out: Tensor = self.body(x)
        return x + out


def _blocks(channels: int) -> list[nn.Module]:
    return [BottleneckBlock(channels) for _ in range(BLOCKS)]


def _attention(channels: int) -> nn.Module:
    # CompressAI takes seconds to import, and nobody needs it who does not build this.
    from compressai.layers import AttentionBlock  # noqa: PLC0415

    block: nn.Module = AttentionBlock(channels)
    return block


def _deconv(before: int, after: int) -> nn.Module:
    """Twice the rows and columns."""
    return nn.ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1)


def _halo(transform: Stages, pixels: Mapping[str, int]) -> int:
    """Latents around one that a transform sees, rounded up; ``pixels`` a place at the end of each stage."""
    attached = sum(side * transform.reach(name) for name, side in pixels.items())
    return -(-(REACH + attached) // 16)
