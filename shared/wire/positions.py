"""Which sequence numbers have ended: everything below ``cumulative``, and single ranges above it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from shared.errors import SidewireError
from shared.wire.v1 import types_pb2

__all__ = ["Positions"]


class Positions:
    """A set of sequence numbers, small as long as its gaps are few.

    Ranges are half open inside, rising, and never touch: ``starts[i] < ends[i] < starts[i + 1]``.
    """

    def __init__(self, cumulative: int = 0) -> None:
        self.cumulative = cumulative
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __contains__(self, seq: int) -> bool:
        if seq < self.cumulative:
            return True
        place = bisect_right(self._starts, seq) - 1
        return place >= 0 and seq < self._ends[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Positions) and list(self.spans()) == list(other.spans())

    __hash__ = None  # type: ignore[assignment]

    @property
    def gaps(self) -> int:
        """How many separate ranges lie above ``cumulative``."""
        return len(self._starts)

    @property
    def count(self) -> int:
        """How many numbers are in it."""
        return sum(end - start for start, end in self.spans())

    def spans(self) -> Iterator[tuple[int, int]]:
        """Half-open spans, the one from 0 first (it may be empty)."""
        yield 0, self.cumulative
        yield from zip(self._starts, self._ends, strict=True)

    def add(self, seq: int) -> bool:
        """Put ``seq`` in; False if it was there."""
        if seq in self:
            return False
        starts, ends = self._starts, self._ends
        place = bisect_right(starts, seq)
        joins_left = place > 0 and ends[place - 1] == seq
        joins_right = place < len(starts) and starts[place] == seq + 1
        if joins_left and joins_right:
            ends[place - 1] = ends.pop(place)
            starts.pop(place)
        elif joins_left:
            ends[place - 1] = seq + 1
        elif joins_right:
            starts[place] = seq
        else:
            starts.insert(place, seq)
            ends.insert(place, seq + 1)
        self._absorb()
        return True

    def raise_to(self, seq: int) -> None:
        """Count everything below ``seq`` as ended."""
        self.cumulative = max(self.cumulative, seq)
        self._absorb()

    def close_lowest_gap(self) -> None:
        """Count what lies between ``cumulative`` and the first range as ended."""
        if self._starts:
            self.cumulative = self._starts[0]
            self._absorb()

    def _absorb(self) -> None:
        while self._starts and self._starts[0] <= self.cumulative:
            self._starts.pop(0)
            self.cumulative = max(self.cumulative, self._ends.pop(0))

    def copy(self) -> Positions:
        """An independent copy."""
        other = Positions(self.cumulative)
        other._starts, other._ends = self._starts.copy(), self._ends.copy()
        return other

    def to_message(self) -> types_pb2.Positions:
        """The positions as acks and OpenSession say them; ranges there hold their last number."""
        ranges = [
            types_pb2.SeqRange(first=start, last=end - 1)
            for start, end in zip(self._starts, self._ends, strict=True)
        ]
        return types_pb2.Positions(cumulative=self.cumulative, ranges=ranges)

    @classmethod
    def from_message(cls, message: types_pb2.Positions) -> Positions:
        """The set that a message names.

        Raises:
            SidewireError: ranges are not rising, apart and above the cumulative position.
        """
        positions = cls(message.cumulative)
        floor = message.cumulative
        for one in message.ranges:
            if one.first <= floor or one.last < one.first:
                raise SidewireError(
                    f"positions: range {one.first}..{one.last} does not follow {floor}"
                )
            positions._starts.append(one.first)
            positions._ends.append(one.last + 1)
            floor = one.last + 1
        return positions
