"""Rows of systems that are built but whose weights do not ship yet; ``SIDEWIRE_SYSTEMS`` makes them known.

    SIDEWIRE_SYSTEMS=shared.systems.untrained sidewire train training/configs/misc.yaml ...

A row moves to the catalogue with its weights.
"""

from __future__ import annotations

from shared.systems.catalogue import System, TextPlacement

__all__ = ["SYSTEMS"]

SYSTEMS = (
    # Words, maps and a reference of base; no caption is read where it is decoded.
    System("misc", "shared.systems.misc", TextPlacement.ENCODER, 3),
)
