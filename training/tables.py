"""Frozen tables from a trained model: the priors it learned, corrected by what it really codes.

Latents have heavier tails than a Gaussian, and the decoder cannot tell one training crop from another,
so symbols are counted over training crops, the counts are smoothed by the trained prior, and the result
is frozen.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.entropy.scale_branch import SCALE_LEVELS
from shared.entropy.tables import FrozenTables, gaussian_pmf, quantise_pmf
from shared.latents.hyperprior import Hyperprior
from training.priors import LearntPrior

__all__ = ["fit_tables"]

#: Weight of the prior against the counts, in symbols.
Y_PRIOR_WEIGHT = 1000.0
Z_PRIOR_WEIGHT = 50.0
#: Symbols of z that the search for a table's ends looks at, on each side of zero.
Z_SEARCH = 500
#: A z table ends where its prior leaves less than this on a side.
Z_TAIL = 2.0**-20
Y_REACH = 511

Table = tuple[int, NDArray[np.uint16]]
Learnt = tuple[Tensor, Tensor, Tensor | None]


class _Counts:
    """How often each symbol was coded: of y by scale index, of z by level and channel."""

    def __init__(self, levels: int, channels: int) -> None:
        self.y = np.zeros((SCALE_LEVELS, 2 * Y_REACH + 1))
        self.z = np.zeros((levels, channels, 2 * Z_SEARCH + 1))

    def add(self, quality: Tensor, z: Tensor, index: Tensor, y: Tensor) -> None:
        """One batch at levels (B,); the rest as :meth:`Hyperprior.learnt_symbols` gives it."""
        columns = self.y.shape[1]
        _tally(self.y, index * columns + y.clamp(-Y_REACH, Y_REACH) + Y_REACH)
        _, n, columns = self.z.shape
        row = quality[:, None] * n + torch.arange(n, device=z.device)
        place = row[:, :, None, None] * columns + z.clamp(-Z_SEARCH, Z_SEARCH) + Z_SEARCH
        _tally(self.z, place)


def _tally(counts: NDArray[np.float64], places: Tensor) -> None:
    """Add one at each flat place of ``counts``."""
    found = torch.bincount(places.flatten().long(), minlength=counts.size)
    counts += found.cpu().numpy().reshape(counts.shape)


def _y_table(index: int, counts: NDArray[np.float64]) -> Table:
    low, prior = gaussian_pmf(index)
    seen = counts + counts[::-1]  # nothing makes one sign likelier than the other
    inner = seen[Y_REACH + low : Y_REACH - low + 1].copy()
    inner[[0, -1]] += seen[: Y_REACH + low].sum()
    return low, quantise_pmf(inner + Y_PRIOR_WEIGHT * prior)


def _z_prior(prior: LearntPrior) -> NDArray[np.float64]:
    """Cumulative probabilities at the edges of all bins, (levels * channels, edges)."""
    edges = torch.arange(-Z_SEARCH, Z_SEARCH + 2, dtype=torch.float64) - 0.5
    cdf: NDArray[np.float64] = prior.cumulative(edges).numpy()
    return cdf


def _z_table(cdf: NDArray[np.float64], counts: NDArray[np.float64]) -> Table:
    used = np.flatnonzero(counts)
    # One symbol beyond whatever was seen or is likely: the ends are escapes, on both sides of zero.
    low = min(int(np.searchsorted(cdf, Z_TAIL)) - 1, int(used.min(initial=Z_SEARCH)), Z_SEARCH) - 1
    high = max(int(np.searchsorted(cdf, 1 - Z_TAIL)), int(used.max(initial=0)), Z_SEARCH) + 1
    low, high = max(low, 0), min(high, 2 * Z_SEARCH)
    prior = np.diff(cdf[low : high + 2])
    return low - Z_SEARCH, quantise_pmf(counts[low : high + 1] + Z_PRIOR_WEIGHT * prior)


@torch.no_grad()
def fit_tables(latent: Hyperprior, batches: Iterable[Learnt]) -> FrozenTables:
    """Tables of a latent codec that has finished its integer phase.

    Args:
        batches: y of training pictures, (B, M, H, W), their levels (B,) and what the encoder is told, (B, D).
    """
    assert isinstance(latent.prior, LearntPrior)
    size = latent.size
    counts = _Counts(size.levels, size.hyper_latent)
    for values, quality, text in batches:
        counts.add(quality, *(part.long() for part in latent.learnt_symbols(values, quality, text)))
    tables = [_y_table(index, counts.y[index]) for index in range(SCALE_LEVELS)]
    z_counts = counts.z.reshape(-1, 2 * Z_SEARCH + 1)
    tables += [_z_table(*pair) for pair in zip(_z_prior(latent.prior), z_counts, strict=True)]
    return FrozenTables.pack(tables)
