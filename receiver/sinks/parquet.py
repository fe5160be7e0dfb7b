"""Pictures as Parquet, one part file a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq

from receiver.sinks.facts import facts
from receiver.sinks.staged import StagedSink
from receiver.work import Delivery

__all__ = ["SCHEMA", "ParquetSink"]

SCHEMA = pa.schema(
    [
        ("offset", pa.int64()),
        ("stream_id", pa.string()),
        ("epoch", pa.uint32()),
        ("seq", pa.uint64()),
        ("revision", pa.uint32()),
        ("disposition", pa.string()),
        ("name", pa.string()),
        ("content_id", pa.string()),
        ("caption", pa.string()),
        ("reason", pa.string()),
        ("media_type", pa.string()),
        ("image", pa.binary()),
        ("bytes", pa.uint32()),
        ("codec", pa.string()),
        ("quality", pa.uint8()),
        ("width", pa.uint16()),
        ("height", pa.uint16()),
        ("received_at", pa.timestamp("us", tz="UTC")),
        ("decoded_at", pa.timestamp("us", tz="UTC")),
    ]
)
#: Rows are large: a reader holds one group of them.
ROWS_IN_GROUP = 32


class ParquetSink(StagedSink):
    """One part file a batch: ``part-<first offset>-<checksum>.parquet``, readable as one dataset.

    Exactly once: a part becomes visible after the commit that holds its rows, whole, and is never
    changed or withdrawn. A crash before the commit leaves nothing, and
    the offsets come again with whatever is in the next batch; one after it leaves a part that
    :meth:`recover` makes visible. The checksum in the name keeps parts apart whose offsets are of
    different ledgers.

    Quiet streams give many small parts. Merging them is left to whoever reads the folder, as only the
    reader knows which parts it has seen.
    """

    def files(self, deliveries: Sequence[Delivery]) -> Mapping[PurePosixPath, bytes]:
        """See :class:`receiver.sinks.staged.StagedSink`."""
        part = _part(deliveries)
        name = f"part-{deliveries[0].offset:012d}-{google_crc32c.value(part):08x}.parquet"
        return {PurePosixPath(name): part}


def _part(deliveries: Sequence[Delivery]) -> bytes:
    table = pa.Table.from_pylist([_row(one) for one in deliveries], SCHEMA)
    stream = pa.BufferOutputStream()
    # Pictures are compressed already.
    pq.write_table(table, stream, row_group_size=ROWS_IN_GROUP, compression="none")
    part: bytes = stream.getvalue().to_pybytes()
    return part


def _row(delivery: Delivery) -> dict[str, object]:
    return {
        "offset": delivery.offset,
        **facts(delivery),
        "media_type": delivery.media_type,
        "image": delivery.picture or None,
    }
