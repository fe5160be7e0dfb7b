"""What supervisor, decoders and pools tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from ray.actor import ActorHandle

from receiver.decoders.batches import DecoderSettings

__all__ = [
    "SUPERVISOR",
    "DecoderState",
    "Handle",
    "ModelVersion",
    "PoolSpec",
    "PoolStatus",
    "Roster",
]

#: An actor as its callers see it; Ray does not type its methods.
Handle: TypeAlias = ActorHandle[Any]

#: Name of the supervisor in its namespace.
SUPERVISOR = "decoders"


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """What a supervisor starts with.

    Attributes:
        decoders: how many.
        gpus: of one decoder, 0 where there are none; it has one CPU and one thread in any case, so that
            decoders never have more threads than there are cores.
    """

    settings: DecoderSettings
    decoders: int
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """What decoders are to decode with; a higher version has taken the place of a lower one."""

    version: int
    settings: DecoderSettings


@dataclass(frozen=True, slots=True)
class DecoderState:
    """A decoder about itself.

    Attributes:
        model: in use; None before the first batch after a restart.
        busy: decodes a batch now.
        pictures: since its process began.
    """

    pid: int
    node: str
    model: ModelVersion | None
    busy: bool
    pictures: int


@dataclass(frozen=True)
class Roster:
    """Who decodes, and with what.

    Attributes:
        number: differs from that of every other roster.
        decoders: actors by name.
        codecs: serialised :class:`CodecId` messages.
        coming: more decoders, which are not there yet: they load the model, or wait for room.
    """

    number: int
    decoders: dict[str, Handle]
    model: ModelVersion
    codecs: tuple[bytes, ...]
    coming: int = 0


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """A pool as people see it: the model, and each decoder's state (None while it is being started)."""

    model: ModelVersion
    decoders: dict[str, DecoderState | None]
