"""A prior from the caption's words in integers: table look-ups and sums, the same on every machine.

Text in the entropy model (``p(y | z, t)`` of Jiang et al.) must choose the same tables at both ends, which a
network's floats do not. Here each word, by a hash, names a row of int8 numbers; rows are added, shifted and
clamped. Of each channel of z the sum tilts the table, of each channel of y it moves the scale index::

    caption --words--> rows of int8 --sum, >> SHIFT, clamp--> tilt v (N,) of z, shift u (M,) of y's indices
    p_v(s) ~ p(s) exp(v s / STEPS)      index' = clamp(index + u, 1, 63) where index > 0

No codec here uses it: a stream that was coded so cannot be read where its caption was lost, and the picture's
bits never depend on the words. It stands to be measured (``sidewire reproduce text-prior``).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.entropy.scale_branch import SCALE_LEVELS
from shared.entropy.tables import FrozenTables, quantise_pmf

__all__ = [
    "BUCKETS",
    "SHIFT",
    "STEPS",
    "TILTS",
    "TextPrior",
    "buckets_of",
    "moved_index",
    "with_tilts",
]

#: Rows of the table of words; words that share one are taken for each other.
BUCKETS = 4096
#: Sums are of sixteenths.
SHIFT = 4
#: Tilts are of this share of a natural parameter's unit, and lie in ``-TILTS .. TILTS``.
STEPS, TILTS = 16, 24
#: Bytes that words are made of: ASCII letters and digits, and all of other scripts' letters.
WORD = re.compile(rb"[0-9a-z\x80-\xff]+")


def buckets_of(caption: str) -> NDArray[np.intp]:
    """The rows that a caption names, rising, each once.

    Only ASCII is lowered: what else is one letter is not the same in every version of Unicode.
    """
    words = WORD.findall(caption.encode().lower())
    return np.unique(np.array([zlib.crc32(word) % BUCKETS for word in words], np.intp))


def _tilted(low: int, frequencies: NDArray[np.uint16], tilt: int) -> NDArray[np.uint16]:
    """A table's frequencies under a tilt; made once and kept, as tables are."""
    symbols = low + np.arange(len(frequencies))
    # The escapes at both ends keep their probability: what lies beyond them is not known.
    inner = np.clip(symbols, low + 1, low + len(frequencies) - 2)
    # Each symbol has one of the frequencies beyond its share, see quantise_pmf.
    own = frequencies.astype(np.float64) - 1
    weights = own * np.exp(tilt * inner / STEPS)
    weights[1:-1] *= own[1:-1].sum() / weights[1:-1].sum()
    weights[[0, -1]] = own[[0, -1]]
    return quantise_pmf(weights)


@dataclass(frozen=True)
class TextPrior:
    """The table of words.

    Attributes:
        rows: (:data:`BUCKETS`, N + M) int8: N channels of z, then M of y.
        offset: (N + M,) int32, added to every sum.
        z_channels: N.
    """

    rows: NDArray[np.int8]
    offset: NDArray[np.int32]
    z_channels: int

    def sums(self, caption: str) -> NDArray[np.int32]:
        """(N + M,) of a caption, shifted and clamped; zero for one without words."""
        named = buckets_of(caption)
        if not len(named):
            return np.zeros_like(self.offset)
        total = self.rows[named].sum(0, dtype=np.int32) + self.offset
        half = 1 << (SHIFT - 1)
        found: NDArray[np.int32] = np.clip((total + half) >> SHIFT, -TILTS, TILTS)
        return found


def moved_index(index: NDArray[np.uint8], moves: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Scale indices (M, h, w) as moves (M,) have them; what is not coded stays so."""
    moved = index.astype(np.int32) + moves[:, None, None]
    kept = np.where(index > 0, np.clip(moved, 1, SCALE_LEVELS - 1), 0)
    return kept.astype(np.uint8)


def with_tilts(tables: FrozenTables, rows: Sequence[int]) -> FrozenTables:
    """The tables ``rows`` alone, each under all tilts in turn: row r under tilt v is ``r * 49 + v + 24``."""
    span = range(-TILTS, TILTS + 1)
    lows = [int(tables.lows[row]) for row in rows]
    made = [
        (low, _tilted(low, tables[row], tilt))
        for low, row in zip(lows, rows, strict=True)
        for tilt in span
    ]
    return FrozenTables.pack(made)
