"""SSIMULACRA2 as a term: what viewers would say, with gradients and without weights of a hub.

Sneyers, "SSIMULACRA 2" (2023): in XYB, at six scales, three kinds of fault (structure, added edges, lost
detail) in two norms each; 108 fitted weights, a polynomial and a power make one score, 100 for equal
pictures and negative for ruins. Constants are the ``ssimulacra2`` package's, against whose values this one
is tested. Like that package, the blur sees mirrored rows beyond the upper and lower edge, and nothing
beyond the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from ssimulacra2 import ssimulacra2 as published
from torch import Tensor
from torch.nn import functional as F

from training.terms.step import Step

__all__ = ["score", "viewers_faults", "weighted_faults"]

#: Least edge of a scale that counts, in pixels.
LEAST_EDGE = 8
#: Of the window; as far as the published one reaches.
SIGMA, RADIUS = 1.5, 5
#: Keeps roots away from zero, where they have no finite gradient.
TINY = 1e-16


@dataclass(frozen=True)
class _Constants:
    """On one device: the window (11,), the opsin matrix (3, 3) and bias (3,), the weights (108,)."""

    window: Tensor
    matrix: Tensor
    bias: Tensor
    weights: Tensor


@cache
def _constants(device: torch.device) -> _Constants:
    place = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float64)
    window = torch.exp(-place.square() / (2 * SIGMA**2))

    def there(values: Tensor | np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
        return torch.as_tensor(values).float().to(device)

    return _Constants(
        there(window / window.sum()),
        there(published.kOpsinAbsorbanceMatrix.reshape(3, 3)),
        there(published.kOpsinAbsorbanceBias),
        there(published.weights),
    )


def _linear(x: Tensor) -> Tensor:
    """sRGB in 0..1 to linear light."""
    curved = ((x.clamp_min(0.04045) + 0.055) / 1.055).pow(2.4)
    return torch.where(x <= 0.04045, x / 12.92, curved)


def _xyb(light: Tensor, constants: _Constants) -> Tensor:
    """Linear light to XYB, moved so that all of it is positive."""
    bias = constants.bias[:, None, None]
    mixed = torch.einsum("ij,bjhw->bihw", constants.matrix, light) + bias
    long, middle, short = (mixed.clamp_min(1e-6).pow(1 / 3) - bias.pow(1 / 3)).unbind(1)
    x, y = (long - middle) / 2, (long + middle) / 2
    return torch.stack([14 * x + 0.42, y + 0.01, short - y + 0.55], 1)


def _norms(faults: Tensor) -> Tensor:
    """Mean and 4-norm over space: (B, C, h, w) -> (B, C, 2)."""
    flat = faults.flatten(2)
    return torch.stack([flat.mean(2), (flat.pow(4).mean(2) + TINY).pow(0.25)], 2)


def _faults(one: Tensor, other: Tensor, constants: _Constants) -> Tensor:
    """The norms of one scale's faults of ``other`` against ``one``: (B, channel, norm, kind)."""
    maps = torch.cat([one, other, one * one, other * other, one * other], 1)
    window = constants.window.view(1, 1, -1, 1).expand(maps.shape[1], 1, -1, 1)
    above, below = maps[:, :, :RADIUS].flip(2), maps[:, :, -RADIUS:].flip(2)
    maps = F.conv2d(torch.cat([above, maps, below], 2), window, groups=maps.shape[1])
    maps = F.conv2d(maps, window.mT, padding=(0, RADIUS), groups=maps.shape[1])
    mean, mean_, square, square_, product = maps.chunk(5, 1)
    luminance = 1 - (mean - mean_).square()
    covariance = 2 * (product - mean * mean_) + published.kC2
    variance = square - mean.square() + square_ - mean_.square() + published.kC2
    edges = (1 + (other - mean_).abs()) / (1 + (one - mean).abs()) - 1
    kinds = (F.relu(1 - luminance * covariance / variance), F.relu(edges), F.relu(-edges))
    return torch.stack([_norms(kind) for kind in kinds], 3)


def weighted_faults(x_hat: Tensor, x: Tensor) -> Tensor:
    """What the score is made of, (B,), 0 for equal pictures, of two (B, 3, H, W) in 0..1, float32."""
    constants = _constants(x.device)
    light, light_ = _linear(x), _linear(x_hat.clamp(0, 1))
    scales = []
    for _ in range(published.kNumScales):
        if min(light.shape[2:]) < LEAST_EDGE:
            break
        scales.append(_faults(_xyb(light, constants), _xyb(light_, constants), constants))
        light, light_ = (F.avg_pool2d(one, 2, ceil_mode=True) for one in (light, light_))
    faults = torch.stack(scales, 2).flatten(1)  # channel, scale, norm, kind
    return 0.9562382616834844 * (faults @ constants.weights[: faults.shape[1]])


def score(x_hat: Tensor, x: Tensor) -> Tensor:
    """SSIMULACRA2 of each picture, (B,); arguments as :func:`weighted_faults`'s."""
    faults = weighted_faults(x_hat, x)
    polynomial = (
        2.326765642916932 * faults
        - 0.020884521182843837 * faults.square()
        + 6.248496625763138e-05 * faults.pow(3)
    )
    return 100 - 10 * polynomial.clamp_min(0).pow(0.6276336467831387)


def viewers_faults(step: Step) -> Tensor:
    """The faults of a step's pictures, (B,).

    Not the score itself: where pictures are poor, it hardly changes with them.
    """
    with torch.autocast(step.batch.x.device.type, enabled=False):
        return weighted_faults(step.out.x_hat.float(), step.batch.x)
