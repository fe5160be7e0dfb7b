"""HiFiC's normalisation, which depends on no other place, picture or batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ChannelNorm"]


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
