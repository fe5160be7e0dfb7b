"""What overlapping blocks cost and where they show, codec by codec, beside coding the whole picture."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
from rich.progress import Progress

from cluster.evaluation.blocks import Blocks, code_in_blocks
from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.reproduce.comparisons import mean_of
from cluster.reproduce.evidence import Evidence, Request, feeds
from cluster.reproduce.tables import Column, Section, TableRow
from shared.codecs import Codec
from shared.feed import PICTURE_COLUMNS, read_feed
from shared.metrics import psnr
from shared.pictures import Picture, picture_from_bytes

__all__ = ["EVIDENCE"]

#: Systems at the request's level, and a format at a quality of about as many bits.
SYSTEMS, FORMATS = ("base", "ssa", "taco"), {"baseline/webp": 5}
SIDE, OVERLAPS = 256, (0, 32, 64, 128)
COLUMNS = (
    Column("bytes (%)", 2, signed=True),
    Column("PSNR (dB)", 3, signed=True),
    Column("PSNR at borders (dB)", 3, signed=True),
    Column("step across a border (levels)", 2, signed=True),
)


def _step(picture: Picture, original: Picture, borders: list[int]) -> float:
    """What the error jumps by across upright borders, beyond what it does between other columns; levels."""
    error = picture.mean(2) - original.mean(2)
    jumps = np.abs(np.diff(error, axis=1)).mean(0)
    at = np.isin(np.arange(1, error.shape[1]), borders)
    return float(jumps[at].mean() - jumps[~at].mean())


def _psnr_near(picture: Picture, original: Picture, borders: list[int]) -> float:
    """Of the columns within two pixels of an upright border."""
    near = sorted({border + step for border in borders for step in range(-2, 2)})
    return psnr(original[:, near], picture[:, near])


def _differences(
    codec: Codec, picture: Picture, quality: int, blocks: Blocks
) -> tuple[float, float, float, float]:
    """The columns of one picture: blocks less whole."""
    whole = codec.encode(picture, quality)
    shown = codec.decode(whole.blob).picture
    found = code_in_blocks(codec, picture, quality, blocks)
    borders = blocks.borders(picture.shape[1])
    return (
        100 * (found.bytes / whole.counted - 1),
        psnr(picture, found.picture) - psnr(picture, shown),
        _psnr_near(found.picture, picture, borders) - _psnr_near(shown, picture, borders),
        _step(found.picture, picture, borders) - _step(shown, picture, borders),
    )


def _section(name: str, path: Path, request: Request, progress: Progress) -> Section:
    rows = list(islice(read_feed(path, PICTURE_COLUMNS), request.limit))
    pictures = [picture_from_bytes(row.image) for row in rows]
    qualities = dict.fromkeys(SYSTEMS, request.quality) | FORMATS
    bar = progress.add_task(name, total=len(qualities) * len(OVERLAPS))
    table = []
    for codec_name, quality in qualities.items():
        codec = open_codec(CodecEntry(codec_name, codec_name))
        for overlap in OVERLAPS:
            blocks = Blocks(SIDE, overlap)
            found = np.array([_differences(codec, one, quality, blocks) for one in pictures])
            cells = tuple(mean_of(column) for column in found.T)
            table.append(TableRow(f"{codec_name}, level {quality}, overlap {overlap}", cells))
            progress.advance(bar)
    return Section(
        title=f"Blocks of {SIDE} pixels against the whole picture, {name} ({len(pictures)} pictures)",
        first="codec and overlap in pixels",
        columns=COLUMNS,
        rows=tuple(table),
        note="What blocks that know nothing of one another change. A step is what the error jumps by from one"
        " side of an upright border to the other, beyond what it does elsewhere.",
    )


def _blocks(request: Request, progress: Progress) -> list[Section]:
    """A table of the pictures that are large enough."""
    return [
        _section(name, path, request, progress) for name, path in feeds(request, "Kodak").items()
    ]


EVIDENCE: dict[str, Evidence] = {"tgic-blocks": _blocks}
