"""Figure 10 of Qin et al.: where the bits go, and where each caption is let in."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cluster.figures import write_png
from shared.codecs import Codec, StreamDecoder
from shared.pictures import Picture

__all__ = ["Look", "MaskSheet", "look_at", "write_figure"]

CAPTION_WIDTH = 34
INCHES = 2.5


@dataclass(frozen=True)
class Look:
    """One picture under one caption.

    Attributes:
        label: such as the caption itself.
        decoded: (H, W, 3) uint8.
        masks: coarse to fine, (h, w) in 0..1 each; empty without text blocks.
        change: (H, W) mean absolute difference to the picture without text, in levels of 255.
    """

    label: str
    decoded: Picture
    masks: tuple[NDArray[np.float32], ...]
    change: NDArray[np.float32]


@dataclass(frozen=True)
class MaskSheet:
    """One picture: the original, its bit map (bits a 16x16 block), its looks (no text first)."""

    id: str
    original: Picture
    bits: NDArray[np.float32]
    bpp: float
    looks: tuple[Look, ...]


def look_at(
    codec: Codec,
    name: str,
    picture: Picture,
    quality: int,
    own: Sequence[str],
    borrowed: Sequence[str],
) -> MaskSheet:
    """Encode once; decode without text, then under every caption, its own and another picture's.

    Raises:
        SidewireError: as the codec does.
    """
    decoder = codec.decoder
    assert isinstance(decoder, StreamDecoder)
    encoded = codec.encode(picture, quality)
    looks: list[Look] = []
    told: list[tuple[str, str | None]] = [("no text", None), *zip(own, own, strict=True)]
    told += [(f"(another picture's) {caption}", caption) for caption in borrowed]
    for label, caption in told:
        decoded = codec.decode(encoded.blob, caption).picture
        untold = looks[0].decoded if looks else decoded
        change = np.abs(decoded.astype(np.float32) - untold).mean(axis=2)
        masks = decoder.insight(encoded.blob, caption).masks
        looks.append(Look(label, decoded, masks, change))
    bits = decoder.insight(encoded.blob).bits
    return MaskSheet(name, picture, bits, encoded.bits_per_pixel, tuple(looks))


def write_figure(path: Path, sheet: MaskSheet) -> None:
    """A row a look: the picture, its finest and coarsest mask, what the words changed."""
    headings = ("decoded", "coarsest mask", "finest mask", "changed by the words")
    rows = 1 + len(sheet.looks)
    height, width = sheet.original.shape[:2]
    size = (4 * INCHES, rows * (INCHES * height / width + 0.55))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, 4, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    grid[0, 0].imshow(sheet.original)
    grid[0, 0].set_title(f"{sheet.id}, original", fontsize=8)
    grid[0, 1].imshow(sheet.bits, cmap="magma", vmin=0)
    most_bits = f"bits a block, white is {sheet.bits.max():.0f}"
    grid[0, 1].set_title(f"{most_bits}\n{sheet.bpp:.4f} bpp in all", fontsize=8)
    most = max(1.0, *(float(look.change.max()) for look in sheet.looks))
    for axes, look in zip(grid[1:], sheet.looks, strict=True):
        axes[0].imshow(look.decoded)
        axes[0].set_title(textwrap.fill(look.label, CAPTION_WIDTH), fontsize=7)
        for place, mask in ((1, look.masks[:1]), (2, look.masks[-1:])):
            for found in mask:
                axes[place].imshow(found, cmap="viridis", vmin=0, vmax=1)
                axes[place].set_title(f"{headings[place]}, mean {found.mean():.2f}", fontsize=7)
        axes[3].imshow(look.change, cmap="inferno", vmin=0, vmax=most)
        axes[3].set_title(f"{headings[3]}, mean {look.change.mean():.2f}", fontsize=7)
    write_png(path, figure)
