"""Rows of systems that are built but whose weights do not ship yet; ``SIDEWIRE_SYSTEMS`` makes them known.

    SIDEWIRE_SYSTEMS=shared.systems.untrained sidewire train training/configs/tgic.yaml ...

A row moves to the catalogue with its weights.
"""

from __future__ import annotations

from shared.systems.catalogue import System, TextPlacement

__all__ = ["SYSTEMS"]

SYSTEMS = (
    # Told at both ends, on base's stream; without words its decoder decodes as any other.
    System("tgic", "shared.systems.tgic", TextPlacement.BOTH, 1, stream="base", twin="tgic-none"),
    System("misc", "shared.systems.misc", TextPlacement.ENCODER, 3),
    System("tgic-none", "shared.systems.tgic", TextPlacement.NOWHERE, 1, stream="base"),
)
