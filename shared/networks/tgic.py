"""TGIC's transforms: g_a and g_s at the size of the paper, with stages to hang conditioners on.

Jiang et al., "Multi-Modality Deep Network for Extreme Learned Image Compression", section 3.1: 3x3
convolutions of stride 2 from 64 channels on, residual modules (He et al., CVPR 2016), and nearest-neighbour
upsampling::

    x (B,3,H,W)                                        x_hat (B,3,H,W)
      | "half":    conv3/2 64,  residual module          ^ "picture": nearest x2, conv3 3
      | "quarter": conv3/2 128, residual module          | "up2": nearest x2, conv3 64,  residual module
      | "eighth":  conv3/2 256, residual module          | "up4": nearest x2, conv3 128, residual module
      | "latent":  conv3/2 512, residual module, conv3   | "up8": conv3 512, residual module,
      v                                                  |        nearest x2, conv3 256, residual module
      y (B,220,H/16,W/16) =========================> y_hat (B,220,H/16,W/16)

The paper's figure is not in its text. Our reading: widths double at each step down, a residual module is
three residual blocks, and M = 220, HiFiC's, whose codec the paper's losses come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from shared.networks.layers import LeakyReLU, ResidualBlock, conv3x3
from shared.networks.stages import (
    AnalysisTransform,
    Attach,
    Conditioning,
    Stage,
    SynthesisTransform,
)

__all__ = ["TgicAnalysis", "TgicSize", "TgicSynthesis"]

#: Halvings of the resolution in g_a, doublings in g_s.
STEPS = 4


class TgicSize(BaseModel):
    """Widths; the defaults are our reading of the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["tgic"] = "tgic"
    base: int = Field(
        64, ge=2, description="channels at half of the resolution, doubled at each step down"
    )
    latent: int = Field(220, ge=1, description="M, channels of y")
    blocks: int = Field(3, ge=1, description="of a residual module")

    def channels(self, step: int) -> int:
        """Channels at 1/2**step resolution, step 1 to 4."""
        return self.base << (step - 1)

    def halo(self, reaches: Mapping[int, int]) -> int:
        """Latents on each side of one that a transform sees, rounded up.

        Args:
            reaches: of what is attached, by step.
        """
        # A block reaches two places, each convolution between stages one; y's own stage has two of those.
        pixels = sum(
            (2 * self.blocks + 2 + reaches.get(step, 0)) << step for step in range(STEPS + 1)
        )
        return -(-pixels // 16)


class TgicAnalysis(AnalysisTransform):
    """g_a: (B, 3, H, W) around zero -> y (B, M, H/16, W/16)."""

    def __init__(self, size: TgicSize, at: Mapping[str, Attach] | None = None) -> None:
        width = size.channels
        names, before = ("half", "quarter", "eighth"), (3, width(1), width(2))
        stages = [
            Stage(name, width(step), _down(size, one, width(step)))
            for step, (name, one) in enumerate(zip(names, before, strict=True), 1)
        ]
        last = [*_down(size, width(3), width(4)), conv3x3(width(4), size.latent)]
        super().__init__([*stages, Stage("latent", size.latent, last)], at or {})
        self.latent = size.latent
        steps = (*enumerate(names, 1), (4, "latent"))
        self.halo = size.halo({step: self.reach(name) for step, name in steps})

    def forward(self, x: Tensor, quality: Tensor, given: Conditioning | None = None) -> Tensor:
        """``quality`` is not read: there is a model a rate."""
        return self.run(x, quality, given)[0]


class TgicSynthesis(SynthesisTransform):
    """g_s: y_hat (B, M, h, w) -> (B, 3, 16h, 16w) around zero."""

    def __init__(self, size: TgicSize, at: Mapping[str, Attach] | None = None) -> None:
        width = size.channels
        first = [conv3x3(size.latent, width(4)), LeakyReLU(), *_module(size, width(4))]
        super().__init__(
            [
                Stage("up8", width(3), [*first, *_up(size, width(4), width(3))]),
                Stage("up4", width(2), _up(size, width(3), width(2))),
                Stage("up2", width(1), _up(size, width(2), width(1))),
                Stage("picture", 3, [nn.UpsamplingNearest2d(scale_factor=2), conv3x3(width(1), 3)]),
            ],
            at or {},
        )
        self.latent = size.latent
        steps = ((3, "up8"), (2, "up4"), (1, "up2"), (0, "picture"))
        self.halo = size.halo({step: self.reach(name) for step, name in steps})

    def masked(
        self, y_hat: Tensor, quality: Tensor, given: Conditioning | None, scale: int = 1
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See :meth:`SynthesisTransform.masked`; ``quality`` is not read, and there is one scale."""
        x, _, masks = self.run(y_hat, quality, given)
        return x, masks


def _module(size: TgicSize, channels: int) -> list[nn.Module]:
    return [ResidualBlock(channels) for _ in range(size.blocks)]


def _down(size: TgicSize, before: int, after: int) -> list[nn.Module]:
    return [conv3x3(before, after, stride=2), LeakyReLU(), *_module(size, after)]


def _up(size: TgicSize, before: int, after: int) -> list[nn.Module]:
    return [
        nn.UpsamplingNearest2d(scale_factor=2),
        conv3x3(before, after),
        LeakyReLU(),
        *_module(size, after),
    ]
