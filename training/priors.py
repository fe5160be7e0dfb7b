"""The prior of z while it is learnt: a bottleneck a quality level and channel."""

from __future__ import annotations

import torch
from compressai.entropy_models import EntropyBottleneck
from compressai.ops import LowerBound
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LearntPrior"]

LIKELIHOOD_FLOOR = 1e-9


class LearntPrior(nn.Module):
    """Bits of z under factorised densities (Balle et al., "Variational Image Compression with a Scale
    Hyperprior", 2018, app. 6.1), by CompressAI's entropy bottleneck.

    One bottleneck of ``levels * N`` channels gives each level its own prior; a picture is measured by the
    rows of its own level.
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
        """Bits of each channel (B, N) of z (B, N, h, w), noisy or integers, at levels (B,)."""
        count, n = z.shape[0], self.channels
        rows = (quality[:, None] * n + torch.arange(n, device=z.device)).flatten()
        values = z.float().reshape(count * n, 1, -1)
        with torch.autocast(z.device.type, enabled=False):
            lower, upper = (self._logits(values + edge, rows) for edge in (-0.5, 0.5))
        bits = -torch.log2(self.bound(torch.sigmoid(upper) - torch.sigmoid(lower)))
        return bits.reshape(count, n, -1).sum(2)

    def _logits(self, values: Tensor, rows: Tensor) -> Tensor:
        """The bottleneck's cumulative logits of values (R, 1, n) by its channels ``rows`` (R,)."""
        own, x = self.bottleneck, values
        for i, (matrix, bias) in enumerate(zip(own.matrices, own.biases, strict=True)):
            x = F.softplus(matrix)[rows] @ x + bias[rows]
            if i < len(own.factors):
                x = x + torch.tanh(own.factors[i])[rows] * torch.tanh(x)
        return x

    @torch.no_grad()
    def cumulative(self, edges: Tensor) -> Tensor:
        """Cumulative probabilities at ``edges`` (n,) float64 of every level and channel, (levels * N, n)."""
        exact = EntropyBottleneck(self.levels * self.channels)
        exact.load_state_dict(self.bottleneck.state_dict())
        exact = exact.double().cpu()
        rows = edges.repeat(self.levels * self.channels, 1, 1)
        logits: Tensor = exact._logits_cumulative(rows, stop_gradient=True)
        return torch.sigmoid(logits[:, 0])
