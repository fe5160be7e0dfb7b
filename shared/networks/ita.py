"""TGIC's image-text attention (ITA): each place of a picture's features hears the words that speak of it.

Jiang et al., "Multi-Modality Deep Network for Extreme Learned Image Compression", section 3.1 and fig. 2a::

    V (B,C,h,w) --.-- W1 1x1 --.
                  |-- W2 3x3 --+-- side by side --> U (B,K,h,w) ----------------------.
                  '-- W3 5x5 --'                    |                                 |
                                       A = softmax(U . t / sqrt K) --> sum of A t -->(C)--> 1x1 --(+)--> V'
                                                    |                                           |
    words (B,T,D_t) --W4--> t (B,T+1,K) ------------'                                           V

Our reading: sizes 1, 3 and 5, of as many channels each; beside the words stands a learned "nothing was
said", which is all that is heard of no text; and the last convolution begins at zero, so that an ITA can be
put into trained transforms. Every place asks by itself, so pictures of several tiles have no seams.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.layers import NEGATIVE_SLOPE, conv3x3, conv5x5
from shared.networks.stages import Conditioner, Conditioning

__all__ = ["SCALES", "AdaptedWords", "ImageTextAttention"]

#: Sizes of filters that look at a picture's features side by side.
SCALES = 3


class AdaptedWords(nn.Module):
    """W4: words (B, T, D_t) brought to a picture's K channels, and "nothing was said" before them."""

    def __init__(self, token_width: int, width: int) -> None:
        super().__init__()
        self.adapt = nn.Linear(token_width, width)
        self.nothing = nn.Parameter(torch.zeros(width))

    def forward(self, given: Conditioning, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """(B, T + 1, K) in ``dtype``, and which of them are said, (B, T + 1) bool."""
        assert given.tokens is not None
        assert given.mask is not None
        said = self.adapt(given.tokens).to(dtype)
        nothing = self.nothing.to(dtype).expand(len(said), 1, -1)
        return torch.cat([nothing, said], 1), F.pad(given.mask, (1, 0), value=True)


def correlation(seen: Tensor, words: Tensor, said: Tensor) -> Tensor:
    """How much each place of (B, K, h, w) hears of each word of (B, T, K), (B, h * w, T); sums to 1.

    Args:
        said: (B, T) bool; what is not said is not heard.
    """
    product = seen.flatten(2).mT @ words.mT / math.sqrt(words.shape[2])
    return product.masked_fill(~said[:, None], float("-inf")).softmax(2)


def weighted(weights: Tensor, words: Tensor, like: Tensor) -> Tensor:
    """Words (B, T, K), weighted (B, h * w, T) and added, at the places of ``like``: (B, K, h, w)."""
    found = (weights @ words).mT
    return found.reshape(*found.shape[:2], *like.shape[2:])


class ImageTextAttention(Conditioner):
    """One ITA.

    Args:
        channels: C of the features.
        token_width: D_t of the words.
        branch: channels of each filter size; K is :data:`SCALES` times that.
    """

    reach = 2

    def __init__(self, channels: int, token_width: int, branch: int) -> None:
        super().__init__()
        width = SCALES * branch
        self.w1 = nn.Conv2d(channels, branch, 1)
        self.w2 = conv3x3(channels, branch)
        self.w3 = conv5x5(channels, branch)
        self.w4 = AdaptedWords(token_width, width)
        self.mix = nn.Conv2d(2 * width, channels, 1)
        nn.init.zeros_(self.mix.weight)
        assert self.mix.bias is not None
        nn.init.zeros_(self.mix.bias)

    def masked(self, y: Tensor, given: Conditioning) -> tuple[Tensor, None]:
        """See :class:`Conditioner`; all of the features may change."""
        seen = self.seen(y)
        words, said = self.w4(given, seen.dtype)
        heard = weighted(correlation(seen, words, said), words, seen)
        return self.fused(y, seen, heard), None

    def seen(self, y: Tensor) -> Tensor:
        """U (B, K, h, w): what the filters of all sizes see of features (B, C, h, w)."""
        views = torch.cat([self.w1(y), self.w2(y), self.w3(y)], 1)
        return F.leaky_relu(views, NEGATIVE_SLOPE)

    def fused(self, y: Tensor, seen: Tensor, heard: Tensor) -> Tensor:
        """Features (B, C, h, w) with what was seen of them and heard, (B, K, h, w) each."""
        change: Tensor = self.mix(torch.cat([seen, heard], 1))
        return y + change
