"""TACO's text adapter: words and features exchange what they know, in both directions.

Lee et al., "Neural Image Compression with Text-guided Encoding for both Pixel-level and Perceptual Fidelity"
(ICML 2024), after ViT-Adapter's blocks::

    Injector:   y + gain * attention(query: norm(y), key and value: norm(words)),  gain zero at first
    Extractor:  words + attention(query: norm(words), key and value: norm(y))

An :class:`Injector` stands at the end of one stage of the encoder, an :class:`Exchange` at the end of a later
one: an extractor, and an injector of what it found. Words that are padding are never heard.

Features of a picture of more than one tile meet the words tile by tile: an extractor sees its tile alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shared.networks.channel_norm import ChannelNorm
from shared.networks.stages import Conditioner, Conditioning
from shared.networks.word_attention import WordAttention

__all__ = ["HEADS", "Exchange", "Injector"]

#: Of every attention (Lee et al.).
HEADS = 8


class Injector(Conditioner):
    """The picture asks the words.

    Args:
        channels: C of the features, a multiple of :data:`HEADS`.
        token_width: D_t of the words.
    """

    reach = 0

    def __init__(self, channels: int, token_width: int) -> None:
        super().__init__()
        self.image_norm = ChannelNorm(channels)
        self.text_norm = nn.LayerNorm(token_width)
        self.attention = WordAttention(channels, token_width, channels, HEADS, channels // HEADS)
        self.gain = nn.Parameter(torch.zeros(channels, 1, 1))

    def masked(self, y: Tensor, given: Conditioning) -> tuple[Tensor, None]:
        """See :class:`Conditioner`."""
        assert given.tokens is not None
        assert given.mask is not None
        return self.injected(y, given.tokens, given.mask), None

    def injected(self, y: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Features (B, C, h, w) with what they hear of words (B, T, D_t), ``mask`` (B, T)."""
        heard = self.attention(self.image_norm(y), self.text_norm(tokens), mask)
        changed: Tensor = y + (self.gain * heard).to(y.dtype)
        return changed


class Exchange(Conditioner):
    """The words ask the picture, and the picture asks what they have become; arguments as Injector's."""

    reach = 0

    def __init__(self, channels: int, token_width: int) -> None:
        super().__init__()
        self.image_norm = ChannelNorm(channels)
        self.text_norm = nn.LayerNorm(token_width)
        self.extractor = nn.MultiheadAttention(
            token_width, HEADS, kdim=channels, vdim=channels, batch_first=True
        )
        self.injector = Injector(channels, token_width)

    def masked(self, y: Tensor, given: Conditioning) -> tuple[Tensor, None]:
        """See :class:`Conditioner`."""
        assert given.tokens is not None
        assert given.mask is not None
        tokens = given.tokens.float()
        seen = self.image_norm(y).float().flatten(2).mT
        found, _ = self.extractor(self.text_norm(tokens), seen, seen, need_weights=False)
        return self.injector.injected(y, tokens + found, given.mask), None
