"""The trial: every contender shows the same picture within the same budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.previews.contenders import Contender, Shown
from shared.metrics import psnr
from shared.pictures import Picture

__all__ = ["Trial", "TrialRow", "tried"]


@dataclass(frozen=True)
class TrialRow:
    """One contender, picture and budget in bytes; ``bytes`` and ``psnr`` are None where nothing fits."""

    id: str
    budget: int
    contender: str
    bytes: int | None
    psnr: float | None


@dataclass(frozen=True)
class Trial:
    """One picture: the original, and what was shown of it, a row each and by budget and contender."""

    id: str
    picture: Picture
    rows: tuple[TrialRow, ...]
    shown: tuple[Shown | None, ...]


def tried(
    name: str, picture: Picture, contenders: Mapping[str, Contender], budgets: Sequence[int]
) -> Trial:
    """Let all contenders show a picture within all budgets."""
    rows, shown = [], []
    for budget in budgets:
        for contender, show in contenders.items():
            found = show(picture, budget)
            fidelity = psnr(picture, found.picture) if found else None
            size = found.bytes if found else None
            rows.append(TrialRow(name, budget, contender, size, fidelity))
            shown.append(found)
    return Trial(name, picture, tuple(rows), tuple(shown))
