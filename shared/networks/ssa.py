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

A block may also bind words to places, as AttnGAN does (Xu et al., CVPR 2018): each place asks which words
speak of it, and what it hears joins the sentence inside the MLPs, so that gamma and beta differ from place
to place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.channel_norm import ChannelNorm
from shared.networks.layers import conv3x3
from shared.networks.stages import Conditioner, Conditioning
from shared.networks.word_attention import WordAttention

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

    def forward(self, given: Conditioning, heard: Tensor | None = None) -> Tensor:
        """(B, C, 1, 1) of sentences; (B, C, H, W) where ``heard`` (B, hidden, H, W) joins them."""
        inner = self.inner(given.text)[:, :, None, None]
        if heard is not None:
            inner = inner + heard
        return F.conv2d(F.relu(inner), self.outer.weight[:, :, None, None], self.outer.bias)


class SemanticSpatialBlock(Conditioner):
    """One SSA block.

    Args:
        channels: C of the features.
        text_width: D of the sentence vector.
        text_hidden: width inside the two MLPs (SSA-GAN: D).
        mask_hidden: width inside the mask predictor.
        token_width: D_t of the words that are bound to places; 0 for a block that reads sentences alone.
    """

    reach = 1

    def __init__(
        self,
        channels: int,
        text_width: int,
        text_hidden: int,
        mask_hidden: int = MASK_HIDDEN,
        token_width: int = 0,
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
        self.words = WordAttention(channels, token_width, text_hidden) if token_width else None
        self.gamma = TextAffine(text_width, text_hidden, channels)
        self.beta = TextAffine(text_width, text_hidden, channels)

    def masked(self, y: Tensor, given: Conditioning) -> tuple[Tensor, Tensor]:
        """The block's output, and its mask m (B, 1, H, W) in 0..1.

        Trust goes in a straight line from what no text gives to what the text gives.
        """
        mask: Tensor = self.mask_predictor(y)
        norm = self.norm(y)
        change = self._change(norm, given)
        if given.trust is not None:
            silent = self._change(norm, given.silence)
            change = torch.lerp(silent, change, given.trust[:, None, None, None].to(change.dtype))
        return y + mask * change, mask

    def _change(self, norm: Tensor, given: Conditioning) -> Tensor:
        """``gamma * norm(y) + beta``."""
        heard = None
        if self.words is not None:
            assert given.tokens is not None
            assert given.mask is not None
            heard = self.words(norm, given.tokens, given.mask)
        gamma, beta = self.gamma(given, heard), self.beta(given, heard)
        return torch.addcmul(beta.to(norm.dtype), gamma.to(norm.dtype), norm)
