"""rANS over frozen tables: integer symbols and table indices in, bytes out, and back.

Constriction's ANS coder does the coding. Symbols that share a table are coded in one call, in table
order, so that a picture takes a hundred calls rather than a Python step a symbol::

    stream := for each table in use, in order: its symbols in raster order
              then for each escape, in the same order: 16 plain bits

A table's first and last symbol are escapes: the value is that far out, plus the 16 bits that follow.

rANS is a stack. Pushed onto an empty one, the first symbol takes 24 bits, however likely it is. Pushed onto a
word of 24 bits, it takes what it should: such a word is nearly free, and lies there again when all symbols
are read. Small streams keep their check in it.

Frozen means frozen to the bit. Constriction turns probabilities into 24-bit fixed point by
``floor(cumulative * (2**24 - n)) + k`` in float64. Our frequencies are integers over 2**16, so every
cumulative sum and every product here has fewer than 53 significant bits: the result is exact, and the
same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from shared.entropy.tables import FREQUENCY_TOTAL, FrozenTables
from shared.errors import CorruptStreamError

__all__ = ["BOTTOM_BITS", "SYMBOL_LIMIT", "EntropyCoder", "EntropyDecoder", "Indices", "Symbols"]

_AnsCoder = constriction.stream.stack.AnsCoder
_Categorical = constriction.stream.model.Categorical

#: Plain bits behind an escape.
ESCAPE_BITS = 16
_ESCAPE = constriction.stream.model.Uniform(1 << ESCAPE_BITS)

#: Of the word at the bottom of the stack: as many as constriction's probabilities have.
BOTTOM_BITS = 24

#: Symbols are int16; the encoder clamps to this magnitude.
SYMBOL_LIMIT = 32767

Symbols = NDArray[np.int16]
Indices = NDArray[np.uint8] | NDArray[np.int32]


@dataclass(frozen=True)
class _Groups:
    """Positions sorted by table.

    Attributes:
        order: positions, stable within a table.
        tables: the tables in use, rising.
        starts, ends: the slice of ``order`` that each of them owns.
    """

    order: NDArray[np.intp]
    tables: NDArray[np.intp]
    starts: NDArray[np.intp]
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, indices: Indices) -> _Groups:
        order = np.argsort(indices, kind="stable")  # a radix sort for 8- and 16-bit indices
        counts = np.bincount(indices)
        tables = np.flatnonzero(counts)
        ends = np.cumsum(counts[tables])
        return cls(order, tables, ends - counts[tables], ends)

    def spread(self, values: NDArray[np.int32]) -> NDArray[np.int32]:
        """One value a table in use, repeated for each of its positions."""
        return np.repeat(values, self.ends - self.starts)

    def slices(self) -> list[tuple[int, slice]]:
        """Each table with its slice."""
        spans = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return [
            (table, slice(*span)) for table, span in zip(self.tables.tolist(), spans, strict=True)
        ]


class EntropyCoder:
    """Codes segments of symbols with :class:`FrozenTables`. Stateless apart from its tables.

    A segment is a pair ``(symbols, indices)``: int16 symbols within ``+-SYMBOL_LIMIT`` and the table
    of each. Later segments may depend on earlier ones: they are decoded one call at a time.
    """

    def __init__(self, tables: FrozenTables) -> None:
        self.tables = tables
        self._tops = np.diff(tables.starts) - 1
        self.model = lru_cache(maxsize=None)(self._build_model)

    def _build_model(self, table: int) -> constriction.stream.model.Categorical:
        probabilities = self.tables[table].astype(np.float64) / FREQUENCY_TOTAL
        return _Categorical(probabilities, perfect=False)

    def encode(self, segments: Sequence[tuple[Symbols, Indices]], bottom: int = 0) -> bytes:
        """Compress; the result is whole words of four bytes, the last of them not zero.

        Args:
            bottom: what :meth:`EntropyDecoder.finish` gives back, of at most :data:`BOTTOM_BITS` bits.
        """
        assert 0 <= bottom < 1 << BOTTOM_BITS, f"{bottom} is no word of {BOTTOM_BITS} bits"
        # An empty stack stands for 0, as constriction refuses a zero word on top.
        coder = _AnsCoder(np.array([bottom], np.uint32)) if bottom else _AnsCoder()
        for symbols, indices in reversed(segments):  # a stack: what is read last is written first
            self._push(coder, symbols, indices)
        packed: NDArray[np.uint32] = coder.get_compressed()
        return packed.astype("<u4").tobytes()

    def _push(self, coder: Any, symbols: Symbols, indices: Indices) -> None:
        groups = _Groups.of(indices)
        offset = symbols[groups.order] - groups.spread(self.tables.lows[groups.tables])
        top = groups.spread(self._tops[groups.tables])
        outermost = np.flatnonzero((offset <= 0) | (offset >= top))
        if outermost.size:
            beyond = offset[outermost]
            offset[outermost] = np.clip(beyond, 0, top[outermost])
            coder.encode_reverse(np.abs(beyond - offset[outermost]), _ESCAPE)
        for table, span in reversed(groups.slices()):
            coder.encode_reverse(offset[span], self.model(table))

    def open(self, payload: bytes) -> EntropyDecoder:
        """Begin to decode a payload; read it with :meth:`EntropyDecoder.decode`.

        Raises:
            CorruptStreamError: the payload cannot be a rANS stream.
        """
        return EntropyDecoder(self, payload)


class EntropyDecoder:
    """Reads the segments of one payload in the order in which they were given to ``encode``."""

    def __init__(self, coder: EntropyCoder, payload: bytes) -> None:
        if len(payload) % 4:
            raise CorruptStreamError(f"payload is {len(payload)} bytes, not a multiple of 4")
        try:
            self._ans = _AnsCoder(np.frombuffer(payload, "<u4").astype(np.uint32))
        except ValueError:
            raise CorruptStreamError("payload ends in a zero word: not a rANS stream") from None
        self._coder = coder

    def decode(self, indices: Indices) -> Symbols:
        """The next segment's symbols, (n,) int16.

        The work is bounded by ``len(indices)``, whatever the payload holds.

        Raises:
            CorruptStreamError: a symbol is out of range, which no encoder writes.
        """
        coder = self._coder
        groups = _Groups.of(indices)
        grouped = np.empty(len(indices), np.int32)
        for table, span in groups.slices():
            grouped[span] = self._ans.decode(coder.model(table), span.stop - span.start)
        top = groups.spread(coder._tops[groups.tables])
        outermost = np.flatnonzero((grouped == 0) | (grouped == top))
        grouped += groups.spread(coder.tables.lows[groups.tables])
        if outermost.size:
            # Every table reaches to both sides of zero, so an escape's sign is its direction.
            beyond = self._ans.decode(_ESCAPE, outermost.size)
            grouped[outermost] += np.sign(grouped[outermost]) * beyond
        if np.abs(grouped).max(initial=0) > SYMBOL_LIMIT:
            raise CorruptStreamError(f"a decoded symbol is beyond +-{SYMBOL_LIMIT}")
        symbols = np.empty(len(indices), np.int16)
        symbols[groups.order] = grouped
        return symbols

    def finish(self) -> int:
        """The word at the bottom, which is all that is left when every symbol is read; 0 for nothing.

        Raises:
            CorruptStreamError: more than such a word is left.
        """
        left: list[int] = self._ans.get_compressed().tolist()
        bottom = left.pop() if left else 0
        if left or bottom >> BOTTOM_BITS:
            raise CorruptStreamError("the payload does not end where its symbols do")
        return bottom
