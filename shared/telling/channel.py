"""Both directions of coding behind one call, so that what is written and what is read cannot part ways.

A model says how likely each symbol is, as integers that sum to :data:`TOTAL`, and hands them to a channel.
A :class:`Writer` is given the symbol, too; a :class:`Reader` finds it; a :class:`Scale` only weighs it. The
writer's symbols go onto a rANS stack that holds something already, the last one first.

Constriction turns integers over a power of two into its 24-bit fixed point exactly
(:mod:`shared.entropy.coder`); a symbol of frequency zero is left 2**-24.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from shared.errors import CorruptStreamError

__all__ = ["TOTAL", "Channel", "Frequencies", "Reader", "Scale", "Writer", "shares"]

_AnsCoder = constriction.stream.stack.AnsCoder
_Categorical = constriction.stream.model.Categorical

#: Frequencies sum to this: a power of two, at most 2**29, so that float64 holds every product of them.
TOTAL = 1 << 26

#: (n,) int64 of n symbols, at least two of them, none negative.
Frequencies = NDArray[np.int64]


def shares(weights: NDArray[np.int64]) -> Frequencies:
    """Positive integers as frequencies: what rounding leaves over goes to the largest."""
    found: Frequencies = weights * TOTAL // weights.sum()
    found[np.argmax(found)] += TOTAL - found.sum()
    return found


class Channel(ABC):
    """Takes symbols one by one, each with the frequencies that it is coded by."""

    @abstractmethod
    def code(self, frequencies: Frequencies, symbol: int | None) -> int:
        """One symbol; who writes knows it, who reads gets it.

        Args:
            symbol: its index into ``frequencies``; None for a reader.
        """


def _model(frequencies: Frequencies) -> Any:
    return _Categorical(frequencies.astype(np.float64) / TOTAL, lazy=True, perfect=False)


class Writer(Channel):
    """Keeps symbols in order until they are pushed."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, Frequencies]] = []

    def code(self, frequencies: Frequencies, symbol: int | None) -> int:
        """See :meth:`Channel.code`."""
        assert symbol is not None, "a writer is told its symbols"
        self._kept.append((symbol, frequencies))
        return symbol

    def onto(self, payload: bytes) -> bytes:
        """The payload with all symbols on top.

        Args:
            payload: whole words of four bytes, the last of them not zero; or none.
        """
        ans = _AnsCoder(np.frombuffer(payload, "<u4").astype(np.uint32))
        for symbol, frequencies in reversed(
            self._kept
        ):  # a stack: what is read last is written first
            ans.encode_reverse(np.array([symbol], np.int32), _model(frequencies))
        packed: NDArray[np.uint32] = ans.get_compressed()
        return packed.astype("<u4").tobytes()


class Reader(Channel):
    """Takes symbols off a payload.

    Raises:
        CorruptStreamError: the payload cannot be a rANS stream.
    """

    def __init__(self, payload: bytes) -> None:
        if len(payload) % 4:
            raise CorruptStreamError(f"payload is {len(payload)} bytes, not a multiple of 4")
        try:
            self._ans = _AnsCoder(np.frombuffer(payload, "<u4").astype(np.uint32))
        except ValueError:
            raise CorruptStreamError("payload ends in a zero word: not a rANS stream") from None

    def code(self, frequencies: Frequencies, symbol: int | None = None) -> int:
        """See :meth:`Channel.code`."""
        return int(self._ans.decode(_model(frequencies), 1)[0])

    def rest(self) -> bytes:
        """What lies below the symbols that were read, as a payload."""
        packed: NDArray[np.uint32] = self._ans.get_compressed()
        return packed.astype("<u4").tobytes()


class Scale(Channel):
    """Adds up what symbols cost.

    Attributes:
        bits: of all so far.
    """

    def __init__(self) -> None:
        self.bits = 0.0

    def code(self, frequencies: Frequencies, symbol: int | None) -> int:
        """See :meth:`Channel.code`."""
        assert symbol is not None, "who weighs is told the symbols"
        share = int(frequencies[symbol]) / TOTAL
        self.bits -= math.log2(share * (1 - len(frequencies) / 2**24) + 2**-24)
        return symbol
