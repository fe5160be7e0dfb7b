"""The pictures of a run: a feed's first ones, or synthetic ones, as a Parquet file of the run's own."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from cluster.bench.options import BenchOptions, Size
from cluster.demo.items import Item, feed_items
from shared.bitstream.container import Container
from shared.errors import SidewireError
from shared.feed import FeedError
from shared.pictures import Picture, picture_head

__all__ = ["BenchFeed", "prepare_feed", "synthetic_picture"]

#: Different synthetic pictures; they are repeated.
SYNTHETIC = 16
#: Rows in one go of the reader: big pictures are read a few at a time.
ROW_GROUP = 8
#: Of the random fields, each weaker than the coarser one, as natural spectra fall with frequency.
OCTAVES = 7
#: Of the coarsest, in 8-bit steps.
STRENGTH = 40.0
EDGES = 60
GRAIN = 1.5


@dataclass(frozen=True)
class BenchFeed:
    """Attributes:
    pixels: of each row's picture.
    captions: of each row; empty for none.
    passes: how often it is sent, so that each sender has enough pictures.
    """

    path: Path
    pixels: Sequence[int]
    captions: Sequence[str]
    passes: int

    @property
    def frames(self) -> int:
        """Pictures of each sender in a repeat."""
        return self.passes * len(self.pixels)


def prepare_feed(options: BenchOptions, folder: Path) -> BenchFeed:
    """Write the run's feed.

    Raises:
        FeedError, LimitError: the given one cannot be read, or holds nothing.
    """
    wanted = options.warmup + options.frames
    if options.feed is None:
        items = list(_synthetic(options.size, min(wanted, SYNTHETIC), options.seed))
    else:
        items = list(islice(feed_items(options.feed, wanted, 0), wanted))
    if not items:
        raise FeedError(f"{options.feed} holds no picture")
    table = pa.table(
        {
            "id": [item.name for item in items],
            "image": [item.image for item in items],
            "captions": [[item.caption] if item.caption else [] for item in items],
        }
    )
    path = folder / "feed.parquet"
    pq.write_table(table, path, row_group_size=ROW_GROUP, write_batch_size=ROW_GROUP)
    return BenchFeed(
        path,
        [_pixels(item.image) for item in items],
        [item.caption for item in items],
        -(-wanted // len(items)),
    )


def _pixels(image: bytes) -> int:
    """The number of pixels of a picture's file or of a container; 0 for what is neither."""
    try:
        header = Container.from_bytes(image).header
        return header.width * header.height
    except SidewireError:
        pass
    try:
        head = picture_head(image)
        return head.width * head.height
    except SidewireError:
        return 0


def _synthetic(size: Size, count: int, seed: int) -> Iterator[Item]:
    for number in range(count):
        file = io.BytesIO()
        picture = synthetic_picture(size, seed + number)
        Image.fromarray(picture).save(file, "PNG", compress_level=1)
        caption = f"Synthetic picture {number}: soft fields with sharp shapes before them"
        yield Item(f"synthetic-{number}", file.getvalue(), caption, "")


def synthetic_picture(size: Size, seed: int) -> Picture:
    """A picture that costs a codec about what a photograph does, always the same for a seed.

    Smooth random fields whose spectrum falls with frequency, mostly of one colour for all channels as
    nature's are; polygons before them for edges, each filled with another field; a little grain.
    """
    chance = np.random.default_rng(seed)
    near, far = (_field(size, chance) for _ in range(2))
    stencil = Image.new("L", (size.width, size.height))
    draw = ImageDraw.Draw(stencil)
    for _ in range(EDGES):
        centre = chance.uniform((0, 0), (size.width, size.height))
        corners = centre + chance.normal(0, min(size.width, size.height) / 12, (5, 2))
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=int(chance.integers(0, 256)))
    share = np.asarray(stencil, np.float32)[..., None] / 255
    mixed = far * (1 - share) + near * share + chance.normal(0, GRAIN, far.shape)
    picture: Picture = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return picture


def _field(
    size: Size, chance: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(H, W, 3) around a mean colour, in 8-bit steps."""
    total = np.zeros((size.height, size.width, 3), np.float32)
    total += chance.uniform(60, 190, 3)
    for octave in range(OCTAVES):
        cells = (3 << octave, 2 << octave)
        grey = chance.normal(0, 1, (cells[1], cells[0], 1))
        colour = chance.normal(0, 0.25, (cells[1], cells[0], 3))
        strength = STRENGTH / 1.4**octave
        for channel in range(3):
            coarse = ((grey[..., 0] + colour[..., channel]) * strength).astype(np.float32)
            fine = Image.fromarray(coarse).resize(
                (size.width, size.height), Image.Resampling.BICUBIC
            )
            total[..., channel] += np.asarray(fine)
    return total
