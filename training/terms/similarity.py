"""Structural similarity: ``mean_i w(q_i) * 1000 * (1 - MS-SSIM_i)``.

The factor puts it on the scale of squared error on 0..255: a picture at 0.25 bpp has about 60 of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from training.terms.step import Step

__all__ = ["Similarity", "ms_ssim"]

#: Weights of the scales, finest first (Wang, Simoncelli, Bovik, 2003), and the window's width and deviation.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, SIGMA = 11, 1.5
#: Stabilise the quotients; for values in 0..1.
C1, C2 = 0.01**2, 0.03**2
#: A scale that is less alike than this counts as this: its power would have no finite gradient.
LEAST = 1e-3


@cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """The window (WINDOW,) and the scales' weights on a device."""
    place = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    window = torch.exp(-place.square() / (2 * SIGMA**2))
    return (window / window.sum()).float().to(device), torch.tensor(SCALE_WEIGHTS, device=device)


def _smoothed(x: Tensor, window: Tensor) -> Tensor:
    rows = window.view(1, 1, -1, 1).expand(x.shape[1], 1, -1, 1)
    return F.conv2d(F.conv2d(x, rows, groups=x.shape[1]), rows.mT, groups=x.shape[1])


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """MS-SSIM of each picture, (B,), of two (B, C, H, W) in 0..1, H and W over 160.

    The measure of :func:`shared.metrics.ms_ssim`, for losses: all constants stay on the pictures' device, and
    where nothing is alike the gradient is zero rather than infinite.
    """
    window, weights = _constants(x.device)
    alike: list[Tensor] = []
    for scale in range(len(SCALE_WEIGHTS)):
        if scale:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        maps = _smoothed(torch.cat([x, y, x * x, y * y, x * y], 1), window)
        mean_x, mean_y, xx, yy, xy = maps.chunk(5, 1)
        contrast = (2 * (xy - mean_x * mean_y) + C2) / (
            xx - mean_x.square() + yy - mean_y.square() + C2
        )
        if scale == len(SCALE_WEIGHTS) - 1:
            luminance = (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)
            contrast = luminance * contrast
        alike.append(contrast.flatten(2).mean(2).clamp_min(LEAST))
    return torch.exp((torch.stack(alike, -1).log() * weights).sum(-1)).mean(1)


@dataclass(frozen=True)
class Similarity:
    """One minus MS-SSIM; ``weights`` (levels,) by quality level."""

    weights: Tensor

    def __call__(self, step: Step) -> Tensor:
        """A scalar."""
        x = step.batch.x
        with torch.autocast(x.device.type, enabled=False):
            similarity = ms_ssim(step.out.x_hat, x)
        return 1000 * (self.weights.to(x.device)[step.batch.quality] * (1 - similarity)).mean()
