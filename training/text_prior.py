"""A text prior by statistics: which words go with which symbols, by ridge regression on captioned pictures.

To first order, a tilt of theta moves a channel's mean by theta times its variance, and a move of a scale's
logarithm by d changes the expected square by 2 d: both are read off linear regressions on the words, without
gradients. Only what differs from word to word counts, so that no tilt serves the data's own mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.entropy.tables import LOG_STEP, scale_of_index
from shared.latents.hyperprior import HyperpriorSymbols
from shared.latents.text_prior import BUCKETS, SHIFT, STEPS, TextPrior, buckets_of

__all__ = ["SaidWords", "Targets", "fit_text_prior", "targets_of"]

Values = NDArray[np.float64]
#: Variance of what rounding adds.
ROUNDED = 1 / 12
#: Squares beyond this many variances count as that many: one outlier is not a word's meaning.
FAR = 9.0
#: Captions that a word must be in to be known.
FEWEST = 5
#: Captions that are looked at together.
BLOCK = 2000


@dataclass(frozen=True)
class Targets:
    """What words are to say of one picture.

    Attributes:
        z: (N,) means of the channels over places.
        y: (M,) means of ``s**2 / sigma**2 - 1`` over what is coded; 0 where nothing is.
    """

    z: Values
    y: Values


def targets_of(symbols: HyperpriorSymbols) -> Targets:
    """Of what is coded of a picture."""
    sigmas = np.array([scale_of_index(i) for i in range(64)])
    coded = symbols.index > 0
    variance = sigmas[symbols.index] ** 2 + ROUNDED
    square = np.minimum(symbols.y.astype(np.float64) ** 2 / variance, FAR) - 1
    count = coded.sum((1, 2))
    y = (square * coded).sum((1, 2)) / np.maximum(count, 1)
    return Targets(symbols.z.astype(np.float64).mean((1, 2)), y)


class SaidWords:
    """Which words stand in which captions, for regressions on them.

    Args:
        captions: of each picture.
    """

    def __init__(self, captions: Sequence[Sequence[str]]) -> None:
        self._said = [buckets_of(text) for texts in captions for text in texts]
        self._owner = np.repeat(np.arange(len(captions)), [len(texts) for texts in captions])
        counts = np.bincount(np.concatenate(self._said), minlength=BUCKETS)
        self.known = np.flatnonzero(counts >= FEWEST)
        self.middle = counts[self.known] / len(self._said)
        blocks = (x.T @ x for _, x in self._blocks())
        self.gram = np.sum(list(blocks), axis=0, dtype=np.float64)

    def _blocks(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Pictures, and their captions' words, centred, some captions at a time."""
        place = np.full(BUCKETS, -1)
        place[self.known] = np.arange(len(self.known))
        for start in range(0, len(self._said), BLOCK):
            said = self._said[start : start + BLOCK]
            x = np.tile(-self.middle.astype(np.float32), (len(said), 1))
            for row, words in enumerate(said):
                columns = place[words]
                x[row, columns[columns >= 0]] += 1
            yield self._owner[start : start + BLOCK], x

    def regression(self, wanted: Values, ridge: float) -> Values:
        """What each known word adds to values (n, K) of the pictures, (known, K)."""
        centred = (wanted - wanted.mean(0)).astype(np.float32)
        products = np.sum([x.T @ centred[own] for own, x in self._blocks()], axis=0)
        found: Values = np.linalg.solve(self.gram + ridge * np.eye(len(self.known)), products)
        return found


def fit_text_prior(
    words: SaidWords, targets: Sequence[Targets], variance: Values, ridge: float
) -> TextPrior:
    """The prior of one level.

    Args:
        words: of the pictures.
        targets: of each picture.
        variance: (N,) of z's symbols, place by place.
        ridge: how many captions a word must be in to count half.
    """
    found = words.regression(np.stack([np.concatenate([one.z, one.y]) for one in targets]), ridge)
    moves = np.full(found.shape[1] - len(variance), 0.5 / LOG_STEP)
    scaled = found * (np.concatenate([STEPS / variance, moves]) * (1 << SHIFT))
    table = np.zeros((BUCKETS, found.shape[1]), np.int8)
    table[words.known] = np.clip(np.round(scaled), -127, 127)
    offset = -np.round(words.middle @ table[words.known].astype(np.float64)).astype(np.int32)
    return TextPrior(table, offset, len(variance))
