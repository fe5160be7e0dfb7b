"""What each place of a picture's features hears of the words: cross-attention, queries from the picture.

AttnGAN binds words to places so (Xu et al., CVPR 2018), and so does TACO's injector (Lee et al.). Beside the
words always stands a learned "nothing was said", which is all that is heard of no text.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["WordAttention"]


class WordAttention(nn.Module):
    """Features (B, C, H, W) and words (B, T, D_t) -> (B, hidden, H, W).

    Args:
        channels: C.
        token_width: D_t.
        hidden: channels of what is heard.
        heads, head_width: of the attention.
    """

    def __init__(
        self, channels: int, token_width: int, hidden: int, heads: int = 4, head_width: int = 24
    ) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        inner = heads * head_width
        self.query = nn.Conv2d(channels, inner, 1)
        self.key = nn.Linear(token_width, inner)
        self.value = nn.Linear(token_width, inner)
        self.nothing = nn.Parameter(torch.zeros(2, inner))
        self.out = nn.Conv2d(inner, hidden, 1, bias=False)

    def forward(self, y: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """See the class; ``mask``: (B, T) bool, True for words."""
        count, _, height, width = y.shape
        query = self.query(y)
        # Queries may be bfloat16 on a processor, where linear layers stay in float32.
        key, value = (
            torch.cat([nothing.expand(count, 1, -1).to(query.dtype), said.to(query.dtype)], 1)
            .view(count, -1, self.heads, self.head_width)
            .transpose(1, 2)
            for nothing, said in zip(
                self.nothing, (self.key(tokens), self.value(tokens)), strict=True
            )
        )
        query = query.reshape(count, self.heads, self.head_width, height * width).mT
        heard = F.pad(mask, (1, 0), value=True)[:, None, None]
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=heard)
        out: Tensor = self.out(found.mT.reshape(count, -1, height, width))
        return out
