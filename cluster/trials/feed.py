"""A feed of made-up frames, for senders of sealed containers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.trials.frames import frame, words

__all__ = ["write_feed"]


def write_feed(path: Path, rows: int, payload_bytes: int) -> None:
    """A feed of sealed frames and their captions."""
    frames = [frame(seq, payload_bytes) for seq in range(rows)]
    table = pa.table(
        {
            "id": [one.name for one in frames],
            "image": [one.container for one in frames],
            "captions": [[words(one.seq).text] for one in frames],
        }
    )
    pq.write_table(table, path, row_group_size=64)
