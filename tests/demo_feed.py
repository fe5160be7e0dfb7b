"""A small feed for the demo: real pictures made smaller, one that is broken, one with a hostile caption."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from cluster.feeds import KODAK_FEED
from shared.feed import read_feed

__all__ = ["HOSTILE", "write_demo_feed"]

#: Markup, a script's end and a handler: harmless as text, and nothing else may become of it.
HOSTILE = "</script><img src=x onerror='window.pwned=1'><script>window.pwned=1</script> \"parrots\" & {{ 7 }}"
SIDE = 192


def write_demo_feed(path: Path) -> Path:
    """Five rows: three Kodak pictures, ``broken`` after the first, and ``kodim23`` with hostile words."""
    rows = []
    for row in read_feed(KODAK_FEED):
        if row.id not in ("kodim03", "kodim07", "kodim12", "kodim23"):
            continue
        with Image.open(io.BytesIO(row.image)) as picture:
            file = io.BytesIO()
            picture.resize((3 * SIDE // 2, SIDE)).save(file, "PNG")
        caption = HOSTILE if row.id == "kodim23" else row.captions[0]
        rows.append({"id": row.id, "image": file.getvalue(), "captions": [caption]})
    rows.insert(1, {"id": "broken", "image": b"no picture at all", "captions": ["Never seen."]})
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path
