"""The prior of z while it is learnt: densities of its own for each quality level and channel."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.latents.bound import at_least

__all__ = ["LearntPrior"]

LIKELIHOOD_FLOOR = 1e-9
#: Values between the layers of a density, from the latent to its logit.
WIDTHS = (1, 3, 3, 3, 3, 1)
#: How wide a density is before it learns.
FIRST_SCALE = 2.0


class LearntPrior(nn.Module):
    """Bits of z under factorised densities (Balle et al., "Variational Image Compression with a Scale
    Hyperprior", 2018, app. 6.1).

    A density's logit of what lies below a value is a small network that can only rise: its matrices are
    positive, and what bends its layers turns none of them around. There are ``levels * N`` of them, so that
    each level has its own prior; a picture is measured by the rows of its own level.
    """

    def __init__(self, levels: int, channels: int) -> None:
        super().__init__()
        self.levels, self.channels = levels, channels
        count = levels * channels
        self.matrices, self.biases, self.factors = (nn.ParameterList() for _ in range(3))
        # Each layer narrows by the same share of the scale; softplus is undone.
        share = FIRST_SCALE ** (-1 / (len(WIDTHS) - 1))
        for before, after in pairwise(WIDTHS):
            weight = math.log(math.expm1(share / after))
            self.matrices.append(torch.full((count, after, before), weight))
            self.biases.append(torch.empty(count, after, 1).uniform_(-0.5, 0.5))
        for after in WIDTHS[1:-1]:
            self.factors.append(torch.zeros(count, after, 1))

    def forward(self, z: Tensor, quality: Tensor) -> Tensor:
        """Bits of each channel (B, N) of z (B, N, h, w), noisy or integers, at levels (B,)."""
        count, n = z.shape[0], self.channels
        rows = (quality[:, None] * n + torch.arange(n, device=z.device)).flatten()
        values = z.float().reshape(count * n, 1, -1)
        with torch.autocast(z.device.type, enabled=False):
            lower, upper = (self._logits(values + edge, rows) for edge in (-0.5, 0.5))
        bits = -torch.log2(at_least(torch.sigmoid(upper) - torch.sigmoid(lower), LIKELIHOOD_FLOOR))
        return bits.reshape(count, n, -1).sum(2)

    def _logits(self, x: Tensor, rows: Tensor) -> Tensor:
        """The cumulative logits of values (R, 1, n) by the densities ``rows`` (R,)."""
        for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            x = F.softplus(matrix)[rows] @ x + bias[rows]
            if i < len(self.factors):
                x = x + torch.tanh(self.factors[i])[rows] * torch.tanh(x)
        return x

    @torch.no_grad()
    def cumulative(self, edges: Tensor) -> Tensor:
        """Cumulative probabilities at ``edges`` (n,) float64 of every level and channel, (levels * N, n)."""
        exact = copy.deepcopy(self).double().cpu()
        rows = torch.arange(self.levels * self.channels)
        logits = exact._logits(edges.repeat(len(rows), 1, 1), rows)
        return torch.sigmoid(logits[:, 0])
