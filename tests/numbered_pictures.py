"""A feed of real pictures whose width says their number, and whether what came out of it is right."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from cluster.trials.effects import Delivered
from cluster.trials.frames import words
from shared.pictures import Picture

__all__ = ["of_its_width", "write_numbered"]

HEIGHT, FIRST_WIDTH = 16, 16


def write_numbered(path: Path, count: int, encode: Callable[[Picture], bytes]) -> Path:
    """Write a feed of so many containers, each of another width, with its number's words; the same path."""
    rows = []
    for seq in range(count):
        picture = np.full((HEIGHT, FIRST_WIDTH + seq, 3), seq, np.uint8)
        rows.append({"id": f"frame-{seq}", "image": encode(picture), "captions": [words(seq).text]})
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def of_its_width(one: Delivered) -> bool:
    """Whether a picture is the one that has this number, and has its words or none."""
    with Image.open(io.BytesIO(one.picture)) as picture:
        width = picture.width
    own_words = one.caption in (None, words(one.seq).text)
    return (width, one.name) == (FIRST_WIDTH + one.seq, f"frame-{one.seq}") and own_words
