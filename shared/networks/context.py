"""Means from what is decoded already, in four steps; the scales stay the hyperprior's.

The quadtree of Li, Li and Lu, "Neural Video Compression with Diverse Contexts" (CVPR 2023), folded: channels
stand in four groups, the places of each 2x2 block are four, and a step decodes another place of each group.
So that nothing is computed for what is not being decoded, a block's four places become channels first::

    y (B,M,h,w) --fold--> 4 chunks (B,M,h/2,w/2), step k decodes chunk k

    chunks before k, of y_hat --entry_k--.
                                        (+)--> blocks --exit_k--(+)--> mu of chunk k
    features of z (1/32) ---hyper_k------'                       |
    mu of h_mu, chunk k -----------------------------------------'

Only means depend on it. A symbol is ``round(y - mu)`` and the coder needs its scale alone, so these networks
may run in floats: no table depends on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.layers import DepthwiseBlock, QualityGain

__all__ = ["STEPS", "ContextSize", "MeanContext"]

#: Places of a block, and so steps.
STEPS = 4
#: Row k: the place (row by row) that step k decodes of each group of channels.
PLACES = ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2))


class ContextSize(BaseModel):
    """Widths of the context network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(320, ge=4)
    blocks: int = Field(2, ge=1, description="shared by the steps")


@cache
def _order(latent: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Channels of a folded y in the order of the steps, and the way back."""
    with torch.inference_mode(False):  # gradients of later calls pass these
        channel = torch.arange(latent, device="cpu")
        place = torch.tensor(PLACES, device="cpu")[:, channel * STEPS // latent]
        order = (channel * STEPS + place).flatten()
        return order.to(device), order.argsort().to(device)


class MeanContext(nn.Module):
    """See the module.

    Args:
        levels: quality levels; each has gains where values enter and leave.
        latent: M, a multiple of 4.
        features: channels of what is known of z.
    """

    def __init__(self, size: ContextSize, levels: int, latent: int, features: int) -> None:
        super().__init__()
        width, later = size.width, range(1, STEPS)
        self.entry_gain = QualityGain(levels, latent)
        self.entry = nn.ModuleList(nn.Conv2d(k * latent, width, 1) for k in later)
        self.hyper = nn.ModuleList(nn.Conv2d(features, width, 1, bias=False) for _ in later)
        self.step_gain = nn.ModuleList(QualityGain(levels, width) for _ in later)
        self.blocks = nn.Sequential(*(DepthwiseBlock(width) for _ in range(size.blocks)))
        self.exit = nn.ModuleList(nn.Conv2d(width, latent, 1) for _ in later)
        self.exit_gain = QualityGain(levels, latent)
        self.latent = latent

    def fold(self, x: Tensor) -> tuple[Tensor, ...]:
        """Chunks (B, M, h/2, w/2) of x (B, M, h, w), in the order of the steps."""
        order, _ = _order(self.latent, x.device)
        return F.pixel_unshuffle(x, 2).index_select(1, order).chunk(STEPS, 1)

    def unfold(self, chunks: Sequence[Tensor]) -> Tensor:
        """The inverse of :meth:`fold`."""
        _, back = _order(self.latent, chunks[0].device)
        return F.pixel_shuffle(torch.cat(tuple(chunks), 1).index_select(1, back), 2)

    def steps(
        self,
        mu: Tensor,
        features: Tensor,
        quality: Tensor,
        decode: Callable[[int, Tensor], Tensor],
    ) -> list[Tensor]:
        """The chunks of y_hat, step by step.

        Args:
            mu: (B, M, h, w) float32, the hyperprior's own means.
            features: (B, F, h/2, w/2) of z.
            quality: (B,) levels.
            decode: a step's number and its means (B, M, h/2, w/2) -> y_hat of that chunk.

        Returns:
            y_hat of each step, (B, M, h/2, w/2) float32; :meth:`unfold` joins them.
        """
        values: list[Tensor] = []
        known: list[Tensor] = []
        for k, mean in enumerate(self.fold(mu)):
            if k:
                known.append(self.entry_gain(values[-1], quality).to(features.dtype))
                mean = mean + self._correction(k - 1, known, features, quality)  # noqa: PLW2901
            values.append(decode(k, mean))
        return values

    def _correction(
        self, later: int, known: list[Tensor], features: Tensor, quality: Tensor
    ) -> Tensor:
        x = self.entry[later](torch.cat(known, 1)) + self.hyper[later](features)
        x = self.exit[later](self.blocks(self.step_gain[later](x, quality)))
        out: Tensor = self.exit_gain(x.float(), quality)
        return out
