"""A sentence joins the latent before it is coded: SELIC's fusion, in the three ways that the paper compares.

Fu et al., "SELIC: Semantic-Enhanced Learned Image Compression via High-Level Textual Guidance", section
III-A and Table II::

    v (B,D) --> FC, ReLU, FC --> (B,M) --broadcast--> y2 (B,M,h,w)
                                                        |
    y3 (B,M,h,w) ------------------------------------> join --> residual block --> y (B,M,h,w)

    join: y3, y2 side by side (2M channels) | y3 + y2 | y3 * y2

Our reading: the residual block's shortcut begins as the image's own latent and its branch at zero, and y2
as what changes nothing: so a fusion can be put into a trained encoder.
"""

from __future__ import annotations

import enum

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.layers import NEGATIVE_SLOPE, conv3x3
from shared.networks.stages import Conditioner, Conditioning

__all__ = ["Fusion", "LatentFusion"]


class Fusion(enum.Enum):
    """How sentence and latent are joined."""

    CONCATENATION = "concatenation"
    ADDITION = "addition"
    MULTIPLICATION = "multiplication"


class LatentFusion(Conditioner):
    """The fusion module.

    Args:
        channels: M, of the latent.
        text_width: D of the sentence vector.
        text_hidden: between the two fully connected layers.
        fusion: how they are joined.
    """

    reach = 2

    def __init__(self, channels: int, text_width: int, text_hidden: int, fusion: Fusion) -> None:
        super().__init__()
        self.fusion = fusion
        side_by_side = fusion is Fusion.CONCATENATION
        joined = 2 * channels if side_by_side else channels
        self.inner = nn.Linear(text_width, text_hidden)
        self.outer = nn.Linear(text_hidden, channels)
        self.conv1 = conv3x3(joined, channels)
        self.conv2 = conv3x3(channels, channels)
        self.shortcut = nn.Conv2d(joined, channels, 1, bias=False) if side_by_side else None
        with torch.no_grad():
            nn.init.zeros_(self.conv2.weight)
            assert self.conv2.bias is not None
            nn.init.zeros_(self.conv2.bias)
            if self.shortcut is not None:
                nn.init.dirac_(self.shortcut.weight)
            else:
                nn.init.zeros_(self.outer.weight)
                nn.init.constant_(self.outer.bias, float(fusion is Fusion.MULTIPLICATION))

    def masked(self, y: Tensor, given: Conditioning) -> tuple[Tensor, None]:
        """See :class:`Conditioner`; the whole latent may change."""
        said = self.outer(F.relu(self.inner(given.text)))[:, :, None, None].to(y.dtype)
        if self.fusion is Fusion.ADDITION:
            joined = y + said
        elif self.fusion is Fusion.MULTIPLICATION:
            joined = y * said
        else:
            joined = torch.cat([y, said.expand_as(y)], 1)
        kept = joined if self.shortcut is None else self.shortcut(joined)
        change: Tensor = self.conv2(F.leaky_relu(self.conv1(joined), NEGATIVE_SLOPE))
        return kept + change, None
