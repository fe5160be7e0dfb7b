"""The catalogue of systems: a row each, read without torch.

A gateway, a sender's parent and the command line know a system by its row; its networks are in the module
that the row names, and are imported where they are built. More systems come from modules that the
environment variable ``SIDEWIRE_SYSTEMS`` names (commas between), whose ``SYSTEMS`` are rows as here.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from shared.errors import SidewireError, UnknownCodecError

__all__ = [
    "ENVIRONMENT",
    "System",
    "TextPlacement",
    "decoders_of",
    "stream_name",
    "streams",
    "system",
    "systems",
]

#: Names modules with more rows.
ENVIRONMENT = "SIDEWIRE_SYSTEMS"


class TextPlacement(enum.Enum):
    """Which end of a codec reads the caption."""

    NOWHERE = "nowhere"
    DECODER = "decoder"
    ENCODER = "encoder"
    BOTH = "both"
    IN_STREAM = "in stream"

    @property
    def at_encoder(self) -> bool:
        """The caption must be where pictures are encoded."""
        return self not in {TextPlacement.NOWHERE, TextPlacement.DECODER}

    @property
    def at_decoder(self) -> bool:
        """The caption's own channel is read where pictures are decoded."""
        return self in {TextPlacement.DECODER, TextPlacement.BOTH}


@dataclass(frozen=True)
class System:
    """A row.

    Attributes:
        name: of the codec, and of its bundle in ``weights``.
        module: has its ``Size`` and its ``parts``.
        text: who reads the caption.
        stream: name of the streams that it writes and decodes; its own by default. The first row of a
            stream is the one that decodes it where nobody chose.
        container_id: of that stream in every header, 1 to 255. Ids are for ever: a number is never given
            to another stream.
        twin: the same recipe told nothing, the baseline of every comparison.
        bundle: folder of the weights; None for ``weights/NAME``, which ships.
    """

    name: str
    module: str
    text: TextPlacement
    container_id: int
    stream: str = ""
    twin: str = ""
    bundle: str | None = None

    def __post_init__(self) -> None:
        if not self.stream:
            object.__setattr__(self, "stream", self.name)


BUILT_IN = (
    System("base", "shared.systems.base", TextPlacement.NOWHERE, 1),
    # The first stream of that name: kept to read what was written with it, and to be compared.
    System("base-1", "shared.systems.base", TextPlacement.NOWHERE, 1, stream="base"),
    # Encoders that are told the caption, on the same stream: whatever decodes it decodes theirs.
    System(
        "selic", "shared.systems.selic", TextPlacement.ENCODER, 1, stream="base", twin="selic-none"
    ),
    System("selic-none", "shared.systems.selic", TextPlacement.NOWHERE, 1, stream="base"),
    System(
        "taco", "shared.systems.taco", TextPlacement.ENCODER, 1, stream="base", twin="taco-none"
    ),
    System("taco-none", "shared.systems.taco", TextPlacement.NOWHERE, 1, stream="base"),
    # Told at both ends: its decoder reads the caption where one comes, and the stream decodes without.
    System("tgic", "shared.systems.tgic", TextPlacement.BOTH, 1, stream="base", twin="tgic-none"),
    System("tgic-none", "shared.systems.tgic", TextPlacement.NOWHERE, 1, stream="base"),
    # Words, maps and a reference of base: no caption is read where it is decoded.
    System("misc", "shared.systems.misc", TextPlacement.ENCODER, 3),
    System("ssa", "shared.systems.ssa", TextPlacement.DECODER, 2, twin="none"),
    System("none", "shared.systems.ssa", TextPlacement.NOWHERE, 2, stream="ssa"),
)


@cache
def systems() -> dict[str, System]:
    """Every system by its name.

    Raises:
        SidewireError: a module that the environment names cannot be used, or a name or id is taken twice.
    """
    rows = [*BUILT_IN]
    for name in filter(None, os.environ.get(ENVIRONMENT, "").split(",")):
        try:
            rows += import_module(name).SYSTEMS
        except (ImportError, AttributeError) as error:
            raise SidewireError(f"{ENVIRONMENT}: {name} brings no systems: {error}") from None
    return _checked(rows)


def _checked(rows: Iterable[System]) -> dict[str, System]:
    named: dict[str, System] = {}
    owners: dict[int, str] = {}
    for row in rows:
        if row.name in named:
            raise SidewireError(f"two systems are called {row.name!r}")
        if owners.setdefault(row.container_id, row.stream) != row.stream:
            raise SidewireError(
                f"system {row.name!r}: container id {row.container_id} is {owners[row.container_id]}'s"
            )
        named[row.name] = row
    return named


def system(name: str) -> System:
    """The system of that name.

    Raises:
        UnknownCodecError: there is none.
    """
    if name not in systems():
        raise UnknownCodecError(f"no codec {name!r}; known: {', '.join(systems())}")
    return systems()[name]


def streams() -> dict[str, int]:
    """Container ids by the names of streams."""
    return {row.stream: row.container_id for row in systems().values()}


def stream_name(container_id: int) -> str:
    """The stream that a header's id names.

    Raises:
        UnknownCodecError: no stream has it.
    """
    for name, known in streams().items():
        if known == container_id:
            return name
    raise UnknownCodecError(f"stream of codec id {container_id}, which this build does not know")


def decoders_of(stream: str) -> tuple[str, ...]:
    """Systems that decode a stream, the one that does where nobody chose first."""
    return tuple(row.name for row in systems().values() if row.stream == stream)
