"""Cheng et al.'s transforms, as CompressAI builds them, cut into stages at their resampling layers.

Cheng et al., "Learned Image Compression with Discretized Gaussian Mixture Likelihoods and Attention Modules"
(CVPR 2020). Stages of g_s, as in Qin et al., section 4.5, which cut it at its four upsamplings::

    y_hat (B,192,h,w)
      | "up8": attention, residual, upsampling 192
      | "up4": residual, upsampling 192
      | "up2": attention, residual, upsampling 192
      | "picture": residual, sub-pixel convolution to 3
      v
    x_hat (B,3,16h,16w)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from shared.networks.stages import (
    AnalysisTransform,
    Attach,
    Conditioning,
    Stage,
    SynthesisTransform,
)

__all__ = ["ChengAnalysis", "ChengSize", "ChengSynthesis"]

#: Where Cheng2020Attention's decoder is cut: one past each upsampling, by the stage's name.
CUTS = {"up8": 3, "up4": 5, "up2": 8, "picture": 10}


class ChengSize(BaseModel):
    """Widths; the default is the papers'."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cheng"] = "cheng"
    latent: int = Field(192, ge=2, multiple_of=2, description="N, of y too")


def _layers(transform: str, size: ChengSize) -> list[nn.Module]:
    # CompressAI takes seconds to import, and nobody needs it who does not build this.
    from compressai.models import Cheng2020Attention  # noqa: PLC0415

    wanted = torch.get_default_device()
    with torch.device("cpu"):  # its GDN cannot be made where tensors have no numbers
        codec = Cheng2020Attention(size.latent)
    return list(codec.get_submodule(transform).to(wanted).children())


class ChengAnalysis(AnalysisTransform):
    """g_a: (B, 3, H, W) around zero -> y (B, N, H/16, W/16)."""

    halo = 12

    def __init__(self, size: ChengSize, at: Mapping[str, Attach] | None = None) -> None:
        layers = _layers("g_a", size)
        super().__init__([Stage("latent", size.latent, layers)], at or {})
        self.latent = size.latent

    def forward(self, x: Tensor, quality: Tensor, given: Conditioning | None = None) -> Tensor:
        """``quality`` is not read: there is a model a rate."""
        return self.run(x, quality, given)[0]


class ChengSynthesis(SynthesisTransform):
    """g_s: y_hat (B, N, h, w) -> (B, 3, 16h, 16w) around zero."""

    halo = 12

    def __init__(self, size: ChengSize, at: Mapping[str, Attach] | None = None) -> None:
        layers, start, stages = _layers("g_s", size), 0, []
        for name, cut in CUTS.items():
            channels = 3 if name == "picture" else size.latent
            stages.append(Stage(name, channels, layers[start:cut]))
            start = cut
        super().__init__(stages, at or {})
        self.latent = size.latent

    def masked(
        self, y_hat: Tensor, quality: Tensor, given: Conditioning | None, scale: int = 1
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See :meth:`SynthesisTransform.masked`; ``quality`` is not read, and there is one scale."""
        x, _, masks = self.run(y_hat, quality, given)
        return x, masks
