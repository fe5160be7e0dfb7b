"""Figures to PNG files, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from shared.pictures import write_atomically

__all__ = ["write_png"]


def write_png(path: Path, figure: Figure, dpi: int = 110) -> None:
    """Write a figure.

    Raises:
        SidewireError: the place cannot be written.
    """
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    write_atomically(path, file.getvalue())
