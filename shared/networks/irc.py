"""TGIC's image-request complement (IRC): a picture's features ask the words for what they lack.

Jiang et al., "Multi-Modality Deep Network for Extreme Learned Image Compression", section 3.1 and fig. 2b::

    V (B,C,h,w) --.-- W5 3x3 --> request (B,K,h,w)
                  |                 |
                  |         A = softmax(request . t) --> sum of A t = s (B,K,h,w), the text that is asked for
                  |                 |                         |
                  |           m = 1 - A of nothing            |
                  '------------------------------------------ITA (one "word" a place: s) --> V'

Our reading: A is a weight of each word at each place, and of "nothing was said"; the part that goes to words
is the mask m, which says where a picture asks for them. The ITA that follows hears s as its text, so its
correlation is a gate: how well what was asked for fits what is seen there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from shared.networks.ita import SCALES, ImageTextAttention, correlation, weighted
from shared.networks.layers import conv3x3
from shared.networks.stages import Conditioner, Conditioning

__all__ = ["ImageRequestComplement"]


class ImageRequestComplement(Conditioner):
    """One IRC; arguments as :class:`ImageTextAttention`'s."""

    reach = 2

    def __init__(self, channels: int, token_width: int, branch: int) -> None:
        super().__init__()
        self.w5 = conv3x3(channels, SCALES * branch)
        self.ita = ImageTextAttention(channels, token_width, branch)

    def masked(self, y: Tensor, given: Conditioning) -> tuple[Tensor, Tensor]:
        """The features, and where they ask for words, (B, 1, h, w) in 0..1; zero where there are none."""
        seen, request = self.ita.seen(y), self.w5(y)
        words, said = self.ita.w4(given, seen.dtype)
        weights = correlation(request, words, said)
        asked = weighted(weights, words, seen)
        fits = torch.sigmoid((seen * asked).sum(1, keepdim=True) / math.sqrt(seen.shape[1]))
        mask = 1 - weights[..., 0].reshape(len(y), 1, *y.shape[2:])
        return self.ita.fused(y, seen, fits * asked), mask
