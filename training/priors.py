"""The prior of z while it is learnt: a bottleneck a quality level and channel."""

from __future__ import annotations

import torch
from compressai.entropy_models import EntropyBottleneck
from compressai.ops import LowerBound
from torch import Tensor, nn

__all__ = ["LearntPrior"]

LIKELIHOOD_FLOOR = 1e-9


class LearntPrior(nn.Module):
    """Bits of z under factorised densities (Balle et al., "Variational Image Compression with a Scale
    Hyperprior", 2018, app. 6.1), by CompressAI's entropy bottleneck.

    A batch holds every level equally often (picture ``i`` has level ``i % levels``), which lets one
    bottleneck of ``levels * N`` channels give each level its own prior.
    """

    def __init__(self, levels: int, channels: int) -> None:
        super().__init__()
        self.levels, self.channels = levels, channels
        self.bottleneck = EntropyBottleneck(levels * channels, init_scale=2.0)
        self.bottleneck.quantiles.requires_grad_(
            False
        )  # tables are made at export, see training.tables
        # A bound that lets a gradient back in.
        self.bound = LowerBound(LIKELIHOOD_FLOOR)

    def forward(self, z: Tensor, quality: Tensor) -> Tensor:
        """Bits (B,) of z (B, N, h, w), noisy or integers, at levels ``arange(B) % levels``."""
        count, levels, n = z.shape[0], self.levels, self.channels
        # (k*L, N, h, w) -> (L*N, 1, k*h*w): the bottleneck's own layout, a row a channel and level.
        rows = z.reshape(count // levels, levels * n, -1).transpose(0, 1)
        with torch.autocast(z.device.type, enabled=False):
            likelihood, _, _ = self.bottleneck._likelihood(rows.reshape(levels * n, 1, -1).float())
        bits = -torch.log2(self.bound(likelihood))
        bits = bits.reshape(levels, n, count // levels, -1).sum((1, 3))
        return bits.transpose(0, 1).reshape(count)

    @torch.no_grad()
    def cumulative(self, edges: Tensor) -> Tensor:
        """Cumulative probabilities at ``edges`` (n,) float64 of every level and channel, (levels * N, n)."""
        exact = EntropyBottleneck(self.levels * self.channels)
        exact.load_state_dict(self.bottleneck.state_dict())
        exact = exact.double().cpu()
        rows = edges.repeat(self.levels * self.channels, 1, 1)
        logits: Tensor = exact._logits_cumulative(rows, stop_gradient=True)
        return torch.sigmoid(logits[:, 0])
