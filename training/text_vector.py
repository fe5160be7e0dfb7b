"""A short int8 vector of the caption inside the stream: moves of tables as a text prior's, at a price.

The directions in which a prior's words move tables most, weighed by what a move is worth, make a vector of K
numbers of each caption; the receiver needs no caption, and the numbers cost the bits that they cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.entropy.tables import FREQUENCY_TOTAL, quantise_pmf
from shared.latents.text_prior import TILTS, TextPrior

__all__ = ["TextVector", "fit_text_vector"]

#: A number of the vector is an int8 within this.
REACH = 7
#: Standard deviations of a number's training values in one of its steps.
STEP = 1.0
#: Sums are of 256ths.
SHIFT = 8
#: Of the counts that tables of the vector are made of.
SMOOTHING = 1.0


@dataclass(frozen=True)
class TextVector:
    """K numbers of a caption, and what they move.

    Attributes:
        prior: whose sums are brought down to K numbers.
        project: (N + M, K) float, at the sender alone.
        moves: (K, N + M) int32.
        costs: (K, 2 REACH + 1) bits of each value by an integer table.
    """

    prior: TextPrior
    project: NDArray[np.float64]
    moves: NDArray[np.int32]
    costs: NDArray[np.float64]

    def of(self, caption: str) -> NDArray[np.int8]:
        """(K,)."""
        return _rounded(self.prior.sums(caption) @ self.project)

    def bits(self, vector: NDArray[np.int8]) -> float:
        """What the vector costs."""
        return float(self.costs[np.arange(len(vector)), vector.astype(int) + REACH].sum())

    def sums(self, vector: NDArray[np.int8]) -> NDArray[np.int32]:
        """(N + M,) moves, as :meth:`TextPrior.sums`'s."""
        total = vector.astype(np.int32) @ self.moves
        found: NDArray[np.int32] = np.clip((total + (1 << SHIFT - 1)) >> SHIFT, -TILTS, TILTS)
        return found


def _rounded(scores: NDArray[np.float64]) -> NDArray[np.int8]:
    found: NDArray[np.int8] = np.clip(np.round(scores), -REACH, REACH).astype(np.int8)
    return found


def fit_text_vector(
    prior: TextPrior, captions: Sequence[str], worth: NDArray[np.float64], width: int
) -> TextVector:
    """The vector of one level.

    Args:
        captions: of training pictures.
        worth: (N + M,) of a move's square in each channel.
        width: K.
    """
    sums = np.stack([prior.sums(caption) for caption in captions]).astype(np.float64)
    root = np.sqrt(worth)
    _, _, directions = np.linalg.svd(sums * root, full_matrices=False)
    directions = directions[:width]
    deviation = (sums * root @ directions.T).std(0) * STEP
    project = root[:, None] * directions.T / deviation
    moves = np.round(directions * deviation[:, None] / root * (1 << SHIFT)).astype(np.int32)
    values = _rounded(sums @ project).astype(int) + REACH
    costs = []
    for column in values.T:
        counts = np.bincount(column, minlength=2 * REACH + 1) + SMOOTHING
        costs.append(np.log2(FREQUENCY_TOTAL / quantise_pmf(counts / counts.sum())))
    return TextVector(prior, project, moves, np.stack(costs))
