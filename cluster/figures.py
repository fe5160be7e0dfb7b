"""Figures to PNG files, whole or not at all, and what of a picture to show in them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from shared.pictures import Picture, write_atomically

__all__ = ["liveliest", "write_png"]


def write_png(path: Path, figure: Figure, dpi: int = 110) -> None:
    """Write a figure.

    Raises:
        SidewireError: the place cannot be written.
    """
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    write_atomically(path, file.getvalue())


def liveliest(picture: Picture, side: int) -> tuple[int, int]:
    """The upper left corner (top, left) of the square with most edges, on a grid of half a square."""
    luma = picture.astype(np.float32).mean(2)
    edges = np.abs(np.diff(luma, axis=0))[:, :-1] + np.abs(np.diff(luma, axis=1))[:-1]
    corners = [
        (top, left)
        for top in range(0, max(1, luma.shape[0] - side + 1), side // 2)
        for left in range(0, max(1, luma.shape[1] - side + 1), side // 2)
    ]
    return max(corners, key=lambda at: edges[at[0] : at[0] + side, at[1] : at[1] + side].sum())
