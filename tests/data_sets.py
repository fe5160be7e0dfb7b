"""Data sets for training, as small as a test needs them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from shared.pictures import Picture

__all__ = ["write_pictures"]


def write_pictures(path: Path, pictures: Mapping[str, Picture]) -> None:
    """A Parquet file of pictures by id, with a caption each."""
    rows = []
    for name, picture in pictures.items():
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        captions = [f"A picture called {name}."]
        rows.append({"id": name, "image": buffer.getvalue(), "captions": captions})
    pq.write_table(pa.Table.from_pylist(rows), path)
