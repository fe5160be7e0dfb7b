"""The semantic-spatial aware block: a sentence vector changes features, where a mask lets it.

Qin et al., "Perceptual Image Compression with Cooperative Cross-Modal Side Information", fig. 5 and
eq. 1-2, after Liao et al., "Text to Image Generation with Semantic-Spatial Aware GAN" (SSA-GAN)::

    y_i (B,C,H,W) ---.---------------------------------------------.
                     |--> mask predictor --> m (B,1,H,W)           |
                     '--> norm --> gamma_c * norm(y_i) + beta_c    | residual
                                          |                        |
                                         (*) <-- m                 |
                                          '--------(+)-------------'
    v (B,D) --> two MLPs --> gamma_c, beta_c        |
                                                    v
                                                 y_{i+1}

Our reading: eq. 2 stands as written and the residual connection carries what the mask keeps out. With
the MLPs' last layers at zero the block starts as the identity, so that it can be put into a trained
generator. Features are normalised over channels alone (HiFiC's ChannelNorm), at each place by itself:
no statistic depends on the batch or on the picture's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.layers import conv3x3

__all__ = ["ChannelNorm", "Conditioning", "SemanticSpatialBlock"]

#: SSA-GAN's width of the mask predictor.
MASK_HIDDEN = 100


class ChannelNorm(nn.Module):
    """Zero mean and unit variance over channels at each place (HiFiC, Mentzer et al. 2020, app. A.1).

    Unbiased variance, epsilon 1e-3. ``affine``: followed by a learned scale and offset a channel.
    """

    def __init__(self, channels: int, *, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), in ``x``'s dtype; moments are taken in float32."""
        wide = x.float()
        variance, mean = torch.var_mean(wide, 1, correction=1, keepdim=True)
        out = (wide - mean) * torch.rsqrt(variance + 1e-3)
        if self.weight is not None and self.bias is not None:
            out = out * self.weight[:, None, None] + self.bias[:, None, None]
        return out.to(x.dtype)


@dataclass(frozen=True)
class Conditioning:
    """What a generator is told of the words.

    Attributes:
        text: (B, D) sentence vectors; a row of zeros is "no text".
        trust: (B,) in 0..1; 0 gives what no text would give, whatever ``text`` says. None for 1.
    """

    text: Tensor
    trust: Tensor | None = None


class TextAffine(nn.Module):
    """P_gamma or P_beta of eq. 1: ``Linear(D, hidden) - ReLU - Linear(hidden, C)``, last layer zero."""

    def __init__(self, text_width: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.inner = nn.Linear(text_width, hidden)
        self.outer = nn.Linear(hidden, channels)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, words: Conditioning) -> Tensor:
        """(B, C). Trust goes in a straight line from what no text gives to what the text gives."""
        out: Tensor = self.outer(F.relu(self.inner(words.text)))
        if words.trust is None:
            return out
        silent: Tensor = self.outer(F.relu(self.inner(torch.zeros_like(words.text))))
        return torch.lerp(silent, out, words.trust[:, None].to(out.dtype))


class SemanticSpatialBlock(nn.Module):
    """One SSA block.

    Args:
        channels: C of the features.
        text_width: D of the sentence vector.
        text_hidden: width inside the two MLPs (SSA-GAN: D).
        mask_hidden: width inside the mask predictor.
    """

    def __init__(
        self, channels: int, text_width: int, text_hidden: int, mask_hidden: int = MASK_HIDDEN
    ) -> None:
        super().__init__()
        self.mask_predictor = nn.Sequential(
            conv3x3(channels, mask_hidden),
            ChannelNorm(mask_hidden),
            nn.ReLU(),
            nn.Conv2d(mask_hidden, 1, 1),
            nn.Sigmoid(),
        )
        self.norm = ChannelNorm(channels, affine=False)
        self.gamma = TextAffine(text_width, text_hidden, channels)
        self.beta = TextAffine(text_width, text_hidden, channels)

    def forward(self, y: Tensor, words: Conditioning) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return self.masked(y, words)[0]

    def masked(self, y: Tensor, words: Conditioning) -> tuple[Tensor, Tensor]:
        """The block's output, and its mask m (B, 1, H, W) in 0..1."""
        mask: Tensor = self.mask_predictor(y)
        gamma = self.gamma(words)[:, :, None, None].to(y.dtype)
        beta = self.beta(words)[:, :, None, None].to(y.dtype)
        return y + mask * torch.addcmul(beta, gamma, self.norm(y)), mask
