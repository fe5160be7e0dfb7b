"""The guard against wrong captions: does this picture look like what is said of it?

A small network looks at the latents that came through the stream and places them where the text
encoder places sentences; how near the caption lies decides how far the generator follows it. It is
trained apart from the generator, on latents with their own and with other pictures' captions
(contrastively), and never touches symbols.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.layers import DepthwiseBlock, LeakyReLU, QualityGain, conv3x3

__all__ = ["Guard", "GuardSize"]


class GuardSize(BaseModel):
    """Widths of the guard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: int = Field(4, ge=1)
    latent: int = Field(192, ge=1, description="M, channels of y_hat")
    hidden: int = Field(192, ge=4)
    blocks: int = Field(2, ge=0, description="at each of two resolutions")
    text_width: int = Field(384, ge=1)


class Guard(nn.Module):
    """Trust of a caption: ``sigmoid(slope * (cos(e(y_hat), text) - threshold))``."""

    def __init__(self, size: GuardSize) -> None:
        super().__init__()
        hidden = size.hidden
        self.gain = QualityGain(size.levels, size.latent)
        self.body = nn.Sequential(
            nn.Conv2d(size.latent, hidden, 1),
            *(DepthwiseBlock(hidden) for _ in range(size.blocks)),
            conv3x3(hidden, hidden, stride=2),
            LeakyReLU(),
            *(DepthwiseBlock(hidden) for _ in range(size.blocks)),
        )
        self.place = nn.Linear(2 * hidden, size.text_width)
        self.slope = nn.Parameter(torch.tensor(20.0))
        self.threshold = nn.Parameter(torch.tensor(0.1))

    def embed(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        """(B, M, h, w) latents at levels (B,) -> (B, D) of unit length."""
        y = self.body(self.gain(y_hat, quality)).float()
        pooled = torch.cat([y.mean((2, 3)), y.amax((2, 3))], 1)
        return F.normalize(self.place(pooled).float(), dim=1)

    def forward(self, y_hat: Tensor, quality: Tensor, text: Tensor) -> Tensor:
        """Trust (B,) in 0..1 of sentence vectors (B, D)."""
        score = (self.embed(y_hat, quality) * F.normalize(text, dim=1)).sum(1)
        return torch.sigmoid(self.slope * (score - self.threshold))
