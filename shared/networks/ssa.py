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

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.channel_norm import ChannelNorm
from shared.networks.layers import conv3x3
from shared.networks.stages import Conditioner, Conditioning

__all__ = ["SemanticSpatialBlock"]

#: SSA-GAN's width of the mask predictor.
MASK_HIDDEN = 100


class TextAffine(nn.Module):
    """P_gamma or P_beta of eq. 1: ``Linear(D, hidden) - ReLU - Linear(hidden, C)``, last layer zero."""

    def __init__(self, text_width: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.inner = nn.Linear(text_width, hidden)
        self.outer = nn.Linear(hidden, channels)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, given: Conditioning) -> Tensor:
        """(B, C). Trust goes in a straight line from what no text gives to what the text gives."""
        out: Tensor = self.outer(F.relu(self.inner(given.text)))
        if given.trust is None:
            return out
        silent: Tensor = self.outer(F.relu(self.inner(torch.zeros_like(given.text))))
        return torch.lerp(silent, out, given.trust[:, None].to(out.dtype))


class SemanticSpatialBlock(Conditioner):
    """One SSA block.

    Args:
        channels: C of the features.
        text_width: D of the sentence vector.
        text_hidden: width inside the two MLPs (SSA-GAN: D).
        mask_hidden: width inside the mask predictor.
    """

    reach = 1

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

    def masked(self, y: Tensor, given: Conditioning) -> tuple[Tensor, Tensor]:
        """The block's output, and its mask m (B, 1, H, W) in 0..1."""
        mask: Tensor = self.mask_predictor(y)
        gamma = self.gamma(given)[:, :, None, None].to(y.dtype)
        beta = self.beta(given)[:, :, None, None].to(y.dtype)
        return y + mask * torch.addcmul(beta, gamma, self.norm(y)), mask
