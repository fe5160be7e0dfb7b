"""One row a frame: when each thing happened to it, and where its latency went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from cluster.bench.load import SentFrame
from cluster.bench.watch import SeenFrame
from cluster.records import columns_of, write_table

__all__ = ["PARTS", "FrameRow", "RunPlace", "frame_rows", "write_rows"]

#: What a latency is made of, from which moment to which. Together they are all of it.
#: wait: for an encoder that is free, the load generator's lag with it. send: journal, credit, wire.
#: join_wait: for the words. queue: for a decoder. ack: sink, ledger, wire.
PARTS = {
    "wait": ("due_s", "encoding_s"),
    "encode": ("encoding_s", "encoded_s"),
    "send": ("encoded_s", "arrived_s"),
    "join_wait": ("arrived_s", "joined_s"),
    "queue": ("joined_s", "decoding_s"),
    "decode": ("decoding_s", "decoded_s"),
    "ack": ("decoded_s", "ended_s"),
}


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Where in a run frames belong.

    Attributes:
        warmup: frames of each sender that do not count.
    """

    decoders: int
    repeat: int
    sender: int
    warmup: int


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A frame; moments in seconds from the start of its repeat, None for what did not happen.

    Attributes:
        counts: not one of the warm-up.
        disposition: how it ended; empty where it has not.
        bytes: of its container. pixels: of its picture.
        batch: pictures that were decoded with it, itself too.
        lag_ms: by which the load generator itself was late.
        due_s: the intended time, which its latency counts from.
        committed_s: when its end was in the ledger, somewhere within ``ack``.
        sent_s: when gRPC had taken it for the first time: within ``send`` or soon after.
    """

    decoders: int
    repeat: int
    sender: int
    seq: int
    counts: bool
    disposition: str
    bytes: int
    pixels: int
    batch: int
    lag_ms: float
    due_s: float
    encoding_s: float | None
    encoded_s: float | None
    sent_s: float | None
    arrived_s: float | None
    joined_s: float | None
    decoding_s: float | None
    decoded_s: float | None
    committed_s: float | None
    ended_s: float | None

    @property
    def e2e_ms(self) -> float | None:
        """Milliseconds from the intended time to the ack at the sender; None without an ack."""
        return None if self.ended_s is None else 1000 * (self.ended_s - self.due_s)

    def part_ms(self, part: str) -> float | None:
        """One of :data:`PARTS`."""
        begin, end = (getattr(self, name) for name in PARTS[part])
        return None if begin is None or end is None else 1000 * (end - begin)


def frame_rows(
    place: RunPlace,
    start: float,
    pixels: Sequence[int],
    sent: Sequence[SentFrame],
    seen: Mapping[int, SeenFrame],
) -> Iterator[FrameRow]:
    """What the sender and the gateway saw of each frame, put together.

    Args:
        start: of the repeat, by the monotonic clock.
        pixels: of each row of the feed.
    """

    def since(moment: float | None) -> float | None:
        return None if moment is None else moment - start

    for frame in sent:
        gateway = seen.get(frame.seq)
        yield FrameRow(
            decoders=place.decoders,
            repeat=place.repeat,
            sender=place.sender,
            seq=frame.seq,
            counts=frame.seq >= place.warmup,
            disposition=frame.disposition,
            bytes=frame.bytes,
            pixels=pixels[frame.seq % len(pixels)],
            batch=gateway.batch if gateway else 0,
            lag_ms=1000 * frame.lag,
            due_s=frame.due - start,
            encoding_s=since(frame.encoding),
            encoded_s=since(frame.encoded),
            sent_s=since(frame.sent),
            arrived_s=since(gateway.arrived) if gateway else None,
            joined_s=since(gateway.joined) if gateway else None,
            decoding_s=since(gateway.decoding) if gateway else None,
            decoded_s=since(gateway.decoded) if gateway else None,
            committed_s=since(gateway.committed) if gateway else None,
            ended_s=since(frame.ended),
        )


ROW_SCHEMA = pa.schema(
    columns_of(FrameRow) + [pa.field(f"{name}_ms", pa.float64()) for name in ("e2e", *PARTS)]
)


def write_rows(path: Path, rows: Sequence[FrameRow]) -> None:
    """Every row as Parquet, with its latency and the parts of it."""
    values = [
        asdict(row) | {"e2e_ms": row.e2e_ms} | {f"{part}_ms": row.part_ms(part) for part in PARTS}
        for row in rows
    ]
    write_table(path, values, ROW_SCHEMA)
