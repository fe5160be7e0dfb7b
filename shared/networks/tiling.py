"""Run a convolutional network over a large picture in windows, with the result of one pass.

Each tile is computed from a window that reaches ``halo`` further on every side than the tile does; a
halo of the network's receptive radius makes the tiles meet without a seam, and memory is bounded by
the window. All positions are in units of the coarser grid (latents).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shared.progress import report

__all__ = ["Tile", "tiles"]


@dataclass(frozen=True)
class Tile:
    """One axis-aligned tile: what to read and which part of the output to keep."""

    window_rows: slice
    window_columns: slice
    rows: slice
    columns: slice

    def window(self, factor: int) -> tuple[slice, slice]:
        """Rows and columns to read, on a grid ``factor`` times finer."""
        return _scaled(self.window_rows, factor), _scaled(self.window_columns, factor)

    def target(self, factor: int) -> tuple[slice, slice]:
        """Rows and columns of the whole output that this tile fills."""
        return _scaled(self.rows, factor), _scaled(self.columns, factor)

    def inner(self, factor: int) -> tuple[slice, slice]:
        """Rows and columns of the window's output that belong to the tile."""
        return (
            _scaled(_shifted(self.rows, self.window_rows.start), factor),
            _scaled(_shifted(self.columns, self.window_columns.start), factor),
        )


def _scaled(span: slice, factor: int) -> slice:
    return slice(span.start * factor, span.stop * factor)


def _shifted(span: slice, origin: int) -> slice:
    return slice(span.start - origin, span.stop - origin)


def _spans(length: int, side: int, halo: int) -> Iterator[tuple[slice, slice]]:
    for start in range(0, length, side):
        stop = min(start + side, length)
        yield slice(max(0, start - halo), min(length, stop + halo)), slice(start, stop)


def tiles(height: int, width: int, side: int, halo: int) -> Iterator[Tile]:
    """Cover a grid of ``height x width`` with tiles of at most ``side``; one tile if it fits.

    Each is reported (:mod:`shared.progress`) when the next one is asked for.
    """
    across = list(_spans(width, side, halo))
    count = -(-height // side) * len(across)
    done = 0
    for window_rows, rows in _spans(height, side, halo):
        for window_columns, columns in across:
            yield Tile(window_rows, window_columns, rows, columns)
            done += 1
            report(done, count)
