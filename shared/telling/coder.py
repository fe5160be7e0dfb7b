"""Tellings on top of a payload: pushed onto the rANS stack that holds the picture, and pulled off it again.

Neither needs a length, and nothing is rounded up to bytes between them::

    telling := the description, how many items there are, then of each its name, its detail, whether it has
               a map, and the map
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shared.errors import CorruptStreamError
from shared.telling.channel import Channel, Frequencies, Reader, Scale, Writer, shares
from shared.telling.maps import MapCoder
from shared.telling.phrases import DESCRIPTIONS, DETAILS, NAMES, Memory, Phrases
from shared.telling.telling import MOST_ITEMS, Item, Telling, TellingError

__all__ = ["TellingBits", "TellingCoder"]

_COUNT: Frequencies = shares(np.array([2, 1, 1, 4]))
_MAPPED: Frequencies = shares(np.array([1, 7]))


@dataclass(frozen=True)
class TellingBits:
    """Code length of a telling's parts, in bits."""

    description: float
    names: float
    details: float
    maps: float

    @property
    def total(self) -> float:
        """Of the telling."""
        return self.description + self.names + self.details + self.maps


class _Parts:
    """A channel a part, which may all be the same one."""

    def __init__(
        self, description: Channel, names: Channel, details: Channel, maps: Channel
    ) -> None:
        self.description, self.names, self.details, self.maps = description, names, details, maps


class TellingCoder:
    """Codes tellings with frozen tables. Stateless apart from these.

    Args:
        tensors: see :class:`Phrases`.

    Raises:
        ValueError: they do not fit each other.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._phrases = Phrases(tensors)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> TellingCoder:
        """The coder of a bundle's section ``phrases``.

        Raises:
            ValueError: as the class does.
        """
        return cls(tensors)

    def push(self, payload: bytes, telling: Telling) -> bytes:
        """The payload with a telling on top.

        Args:
            payload: whole little-endian words of four bytes, the last of them not zero; or none. So is
                what comes back.
        """
        writer = Writer()
        self._code(_Parts(writer, writer, writer, writer), telling)
        return writer.onto(payload)

    def pull(self, payload: bytes) -> tuple[Telling, bytes]:
        """The telling on top of a payload, and the payload below it; inverse of :meth:`push`.

        Work and memory are bounded by a telling's limits, whatever the payload holds.

        Raises:
            CorruptStreamError: there is none that :meth:`push` writes.
        """
        reader = Reader(payload)
        try:
            telling = self._code(_Parts(reader, reader, reader, reader), None)
        except TellingError as error:
            raise CorruptStreamError(str(error)) from None
        return telling, reader.rest()

    def bits(self, telling: Telling) -> TellingBits:
        """What each part of a telling adds to a payload."""
        scales = Scale(), Scale(), Scale(), Scale()
        self._code(_Parts(*scales), telling)
        return TellingBits(*(scale.bits for scale in scales))

    def symbols(self, telling: Telling) -> tuple[NDArray[np.int16], ...]:
        """All that a telling says as numbers, for a checksum; different for different tellings."""
        texts = [telling.description]
        for item in telling.items:
            texts += [item.name, item.detail]
        octets = [text.encode() for text in texts]
        lengths = [len(one) for one in octets]
        found = [np.array([len(telling.items), *lengths], np.int16)]
        found += [np.frombuffer(one, np.uint8).astype(np.int16) for one in octets]
        for item in telling.items:
            shape = (0, 0) if item.map is None else item.map.shape
            marks = [] if item.map is None else item.map.flatten().tolist()
            found.append(np.array([*shape, *marks], np.int16))
        return tuple(found)

    def _code(self, parts: _Parts, telling: Telling | None) -> Telling:
        """Write a telling, or read one."""
        memory, maps = Memory(), MapCoder()
        said = None if telling is None else telling.description
        description = self._phrases.code(parts.description, DESCRIPTIONS, memory, said)
        given = None if telling is None else len(telling.items)
        count = parts.names.code(_COUNT, given)
        items = []
        for index in range(count):
            item = None if telling is None else telling.items[index]
            items.append(self._code_item(parts, memory, maps, item))
        return Telling(description, tuple(items))

    def _code_item(self, parts: _Parts, memory: Memory, maps: MapCoder, item: Item | None) -> Item:
        name = self._phrases.code(parts.names, NAMES, memory, None if item is None else item.name)
        detail = self._phrases.code(
            parts.details, DETAILS, memory, None if item is None else item.detail
        )
        has_map = None if item is None else int(item.map is not None)
        if not parts.maps.code(_MAPPED, has_map):
            return Item(name, detail)
        return Item(name, detail, maps.code(parts.maps, None if item is None else item.map))


assert len(_COUNT) == MOST_ITEMS + 1
