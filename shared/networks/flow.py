"""A flow from noise to what a reference lacks of a picture, told what is in it.

Rectified flow (Liu et al., ICLR 2023; Lipman et al., ICLR 2023) in a latent space that stands: with ``y`` the
latents of a picture and ``y_ref`` those of a poor copy of it, a straight line leads from noise to the
residual, and a network that sees a place on the line says where it ends::

    r = (y - y_ref) / spread       r_t = (1 - t) noise + t r       Flow(r_t, y_ref, t, words) ~ r

    r_t, y_ref --conv--> [depth-wise 5x5, norm, FiLM(t, sentence), expand, project] x blocks --conv--> r
                              every third block first hears the words, one by one

Words may speak of one region, and what earlier steps made may be what the next ones begin from: see
:mod:`shared.painting.painter`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.channel_norm import ChannelNorm
from shared.networks.layers import conv3x3
from shared.networks.stages import Conditioning
from shared.networks.word_attention import WordAttention

__all__ = ["Flow", "FlowSize", "sample"]

#: Frequencies that tell the time, and the largest of them.
FREQUENCIES, HIGHEST = 32, 1000.0
#: Every so many blocks one hears the words.
HEARING_EVERY = 3


class FlowSize(BaseModel):
    """Widths and depths of the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latent: int = Field(192, ge=1, description="M, channels of the latents")
    width: int = Field(320, ge=8, description="channels of the blocks")
    expansion: int = Field(2, ge=1, description="of the width within a block")
    blocks: int = Field(9, ge=1)
    condition: int = Field(160, ge=8, description="width of what time and sentence become")
    text_width: int = Field(384, ge=1, description="D of the sentence vector")
    token_width: int = Field(384, ge=1, description="D_t of the words")


class _Block(nn.Module):
    """ConvNeXt's block (Liu et al., CVPR 2022) under FiLM; keeps its input's shape, and starts silent."""

    def __init__(self, size: FlowSize, hears: bool) -> None:
        super().__init__()
        width, hidden = size.width, size.width * size.expansion
        self.words = WordAttention(width, size.token_width, width) if hears else None
        self.spatial = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = ChannelNorm(width, affine=False)
        self.film = nn.Conv2d(size.condition, 3 * width, 1)
        self.expand = nn.Conv2d(width, hidden, 1)
        self.project = nn.Conv2d(hidden, width, 1)
        nn.init.zeros_(self.film.weight)
        assert self.film.bias is not None
        with torch.no_grad():
            self.film.bias.zero_()[2 * width :].fill_(0.3)

    def forward(self, x: Tensor, condition: Tensor, given: Conditioning) -> Tensor:
        """``condition``: (B, C, 1, 1)."""
        if self.words is not None:
            assert given.tokens is not None
            assert given.mask is not None
            heard: Tensor = self.words(x, given.tokens, given.mask)
            x = x + heard
        scale, shift, gate = self.film(condition).to(x.dtype).chunk(3, 1)
        inner = self.norm(self.spatial(x)) * (1 + scale) + shift
        made: Tensor = x + gate * self.project(F.gelu(self.expand(inner)))
        return made


class Flow(nn.Module):
    """Where the line ends that r_t lies on; see the module.

    Attributes:
        spread: (M,) what references lack of the latents, root mean square; the unit of r.
        scale: (M,) the latents' own root mean square; the unit in which the network sees y_ref.
        halo: latents on each side of one that it depends on.
    """

    spread: Tensor
    scale: Tensor

    def __init__(self, size: FlowSize) -> None:
        super().__init__()
        self.size = size
        self.halo = 2 + 2 * size.blocks
        self.enter = conv3x3(2 * size.latent, size.width)
        self.time = nn.Conv2d(2 * FREQUENCIES, size.condition, 1)
        self.sentence = nn.Conv2d(size.text_width, size.condition, 1, bias=False)
        self.mix = nn.Conv2d(size.condition, size.condition, 1)
        self.blocks = nn.ModuleList(
            _Block(size, place % HEARING_EVERY == HEARING_EVERY - 1) for place in range(size.blocks)
        )
        self.leave = nn.Sequential(
            ChannelNorm(size.width), nn.GELU(), conv3x3(size.width, size.latent)
        )
        self.register_buffer("spread", torch.ones(size.latent))
        self.register_buffer("scale", torch.ones(size.latent))

    def forward(self, r: Tensor, y_ref: Tensor, t: Tensor, given: Conditioning) -> Tensor:
        """The end of the line, (B, M, h, w) in units of ``spread``.

        Args:
            r: (B, M, h, w), places on lines.
            y_ref: (B, M, h, w), latents of the references.
            t: (B,) in 0..1.
            given: sentences and words; silence for none.
        """
        seen = torch.cat([r, y_ref / self.scale[:, None, None]], 1)
        x = self.enter(seen.to(self.enter.weight.dtype, memory_format=torch.channels_last))
        condition = self._condition(t, given)
        for block in self.blocks:
            x = block(x, condition, given)
        out: Tensor = self.leave(x)
        return out.float()

    def _condition(self, t: Tensor, given: Conditioning) -> Tensor:
        dtype = self.enter.weight.dtype
        rates = torch.exp(torch.linspace(0, math.log(HIGHEST), FREQUENCIES, device=t.device))
        waves = torch.cat([(t[:, None] * rates).sin(), (t[:, None] * rates).cos()], 1)
        # Sentence vectors are of length one: as loud as the waves they must be to be heard.
        text = F.normalize(given.text) * math.sqrt(FREQUENCIES)
        mixed = self.time(waves[:, :, None, None].to(dtype))
        mixed = mixed + self.sentence(text[:, :, None, None].to(dtype))
        out: Tensor = F.silu(self.mix(F.silu(mixed)))
        return out


def sample(
    end: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int, taken: int | None = None
) -> Tensor:
    """Follow the flow from noise (B, M, h, w) to a residual in ``steps`` Euler steps.

    Args:
        end: places (B, M, h, w) and times (B,) to where their lines end.
        taken: only the first of these steps; None for all.
    """
    r = noise
    for step in range(steps if taken is None else taken):
        t = torch.full((len(r),), step / steps, device=r.device)
        r = r + (end(r, t) - r) / (steps - step)
    return r
