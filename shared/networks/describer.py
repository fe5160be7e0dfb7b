"""A picture in words, one after another: a small transformer decoder over a matcher's feature maps.

The matcher (:mod:`shared.networks.matcher`) is frozen and sees a square of its own side. What the decoder
attends to are the places of its last two maps, and the picture's place in sentence space, before them::

    maps 1/16 (pooled) and 1/32 -> places (B,P,C) -> linear -+
    sentence vector (B,D) -------------------------> linear -+-> (B,1+P,width), norm
    words so far (B,T) -> embedding -> [self-attention, attention to these, two layers] x layers
                       -> norm, linear -> (B,T,words)
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.matcher import Matcher

__all__ = ["BEGIN", "END", "UNKNOWN", "DescriberNetwork", "DescriberSize", "Seen", "seen_by"]

#: Words that are none: before the first and behind the last one, and any that is not in the vocabulary.
BEGIN, END, UNKNOWN = range(3)


class DescriberSize(BaseModel):
    """Widths of the describer.

    Attributes:
        words: of the vocabulary, with the three that are none.
        longest: words in a description, END among them.
        places: P, of the matcher's last map. channels: C, of its last two maps. dim: D.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: int = Field(ge=4)
    longest: int = Field(24, ge=2)
    width: int = Field(256, ge=8)
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    inner: int = Field(512, ge=8)
    places: int = Field(16, ge=1)
    channels: int = Field(320, ge=1)
    dim: int = Field(384, ge=1)


#: Places (B, P, C) and sentence vectors (B, D) of pictures.
Seen = tuple[Tensor, Tensor]


def seen_by(matcher: Matcher, x: Tensor) -> Seen:
    """What a matcher sees in pictures (B, C, H, W) in 0..1: squashed to its square."""
    side = matcher.size.side
    if x.shape[-2:] != (side, side):
        x = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
    *_, fine, coarse = matcher.feature_maps(x)
    pooled = F.adaptive_avg_pool2d(fine, (coarse.shape[-2], coarse.shape[-1]))
    places = torch.cat([pooled, coarse], 1).flatten(2).mT.float()
    means = torch.cat([fine.float().mean((2, 3)), coarse.float().mean((2, 3))], 1)
    return places, F.normalize(matcher.head(means).float(), dim=1)


class _Attention(nn.Module):
    """From (B, T, width) to what (B, S, width) has to say."""

    def __init__(self, size: DescriberSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.query = nn.Linear(size.width, size.width)
        self.key = nn.Linear(size.width, size.width)
        self.value = nn.Linear(size.width, size.width)
        self.out = nn.Linear(size.width, size.width)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor, of: Tensor, *, causal: bool) -> Tensor:
        query, key, value = map(self._split, (self.query(x), self.key(of), self.value(of)))
        scores = query @ key.mT * query.shape[-1] ** -0.5
        if causal:
            scores = scores + x.new_full(scores.shape[-2:], -torch.inf).triu(1)
        told = scores.softmax(-1) @ value
        mixed: Tensor = self.out(told.transpose(1, 2).flatten(2))
        return mixed


class _Layer(nn.Module):
    def __init__(self, size: DescriberSize) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(size.width) for _ in range(3)])
        self.words, self.picture = _Attention(size), _Attention(size)
        self.widen = nn.Linear(size.width, size.inner)
        self.narrow = nn.Linear(size.inner, size.width)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        before = self.norms[0](x)
        x = x + self.words(before, before, causal=True)
        x = x + self.picture(self.norms[1](x), memory, causal=False)
        out: Tensor = x + self.narrow(F.gelu(self.widen(self.norms[2](x))))
        return out


class DescriberNetwork(nn.Module):
    """Words so far (B, T), BEGIN first, to logits (B, T, words) of the next one at each."""

    def __init__(self, size: DescriberSize) -> None:
        super().__init__()
        self.size = size
        self.of_places = nn.Linear(size.channels, size.width)
        self.of_sentence = nn.Linear(size.dim, size.width)
        self.place = nn.Parameter(torch.randn(1 + size.places, size.width) * 0.02)
        self.seen_norm = nn.LayerNorm(size.width)
        self.embedding = nn.Embedding(size.words, size.width)
        self.order = nn.Parameter(torch.randn(size.longest, size.width) * 0.02)
        self.layers = nn.ModuleList([_Layer(size) for _ in range(size.layers)])
        self.norm = nn.LayerNorm(size.width)
        self.head = nn.Linear(size.width, size.words)
        nn.init.normal_(self.head.weight, std=0.02)

    def memory(self, seen: Seen) -> Tensor:
        """What of pictures is attended to, (B, 1 + P, width)."""
        places, sentence = seen
        # Unit vectors of D numbers are small beside everything else.
        gist = self.of_sentence(sentence * self.size.dim**0.5)
        memory: Tensor = self.seen_norm(
            torch.cat([gist[:, None], self.of_places(places)], 1) + self.place
        )
        return memory

    def states(self, memory: Tensor, words: Tensor) -> Tensor:
        """(B, T, width), from which :meth:`logits` tells the next words."""
        x = self.embedding(words) + self.order[: words.shape[1]]
        for layer in self.layers:
            x = layer(x, memory)
        states: Tensor = self.norm(x)
        return states

    def logits(self, states: Tensor) -> Tensor:
        """(..., width) to (..., words)."""
        logits: Tensor = self.head(states)
        return logits

    def forward(self, seen: Seen, words: Tensor) -> Tensor:
        return self.logits(self.states(self.memory(seen), words))
