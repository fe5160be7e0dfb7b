"""How many decoders a cluster has room for, as large as it is now."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.actors.runtime import cpus, gpus
from shared.errors import LimitError

__all__ = ["Room", "RoomError"]


class RoomError(LimitError):
    """The cluster has no room for so many decoders."""

    def __init__(self, value: int, limit: int, why: str) -> None:
        super().__init__("decoders", value, limit)
        self.args = (value, limit, why)
        self.why = why

    def __str__(self) -> str:
        return f"{super().__str__()}: {self.why}"


@dataclass(frozen=True, slots=True)
class Room:
    """So many decoders fit, and what says so."""

    most: int
    why: str

    @classmethod
    def now(cls, share: float) -> Room:
        """The room that there is.

        Args:
            share: of a GPU, that each decoder takes; 0 for none.
        """
        by_cpus = cls(cpus(), f"the Ray cluster has {cpus()} CPUs, and each decoder takes one")
        if not share:
            return by_cpus
        found = gpus()
        why = f"the Ray cluster has {found:g} GPUs, and each decoder takes {share:g} (decoder_gpus)"
        return min(by_cpus, cls(int(found / share), why), key=lambda room: room.most)

    def check(self, count: int) -> None:
        """Refuse more decoders than fit.

        Raises:
            RoomError: there is no room for so many.
        """
        if count > self.most:
            raise RoomError(count, self.most, self.why)
