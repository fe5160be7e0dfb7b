"""A process of the bare loop: pictures' files in, decoded pictures' files out, and nothing between."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from receiver.decoders.worker import Decoder, DecodingSettings
from receiver.work import Caption, DecodeResult, DecodeTask, Frame, Key
from sender.encode_worker import CodecSettings, EncodeTask, Unencodable, build_encoder
from shared.bitstream.container import Container
from shared.errors import SidewireError
from shared.feed import read_feed

__all__ = ["MOST_PICTURES", "BarePass", "BareSpec", "Times", "build_bare"]

#: Of the feed, in memory.
MOST_PICTURES = 64

#: When it began and ended, by the machine's monotonic clock.
Times = tuple[float, float]


@dataclass(frozen=True, slots=True)
class BareSpec:
    """What is done with each picture.

    Attributes:
        words: decode with captions.
        sink: folder that pictures are written to; None to make them and write none.
    """

    feed: Path
    encoding: CodecSettings
    decoding: DecodingSettings
    words: bool
    sink: Path | None


@dataclass(frozen=True, slots=True)
class BarePass:
    """Pictures ``first``, ``first + step``, ... below ``count``, the feed counted around."""

    first: int
    step: int
    count: int
    batch: int


def build_bare(spec: BareSpec) -> tuple[None, Callable[[BarePass], Times | SidewireError]]:
    """What makes a pass.

    Raises:
        SidewireError: the feed, the codec or its bundle cannot be used.
    """
    rows = list(itertools.islice(read_feed(spec.feed), MOST_PICTURES))
    _, encode = build_encoder(spec.encoding)
    decoder = Decoder(spec.decoding)
    if spec.sink is not None:
        spec.sink.mkdir(parents=True, exist_ok=True)

    def tasks(numbers: range) -> Sequence[DecodeTask]:
        made = []
        for number in numbers:
            row = rows[number % len(rows)]
            encoded = encode(EncodeTask(row.image, row.captions[0] if row.captions else None))
            if isinstance(encoded, Unencodable):
                raise SidewireError(f"{row.id}: {encoded.reason}")
            container = encoded.container
            key = Key("bare", 0, number)
            text = row.captions[0] if spec.words and row.captions else None
            caption = Caption(key, b"", 1, text, "", 0.0) if text else None
            made.append(DecodeTask(Frame(key, b"", row.id, container, text is not None), caption))
        return made

    def finish(batch: Sequence[DecodeTask]) -> None:
        for task, result in zip(batch, decoder.decode(batch), strict=True):
            if not isinstance(result, DecodeResult):
                raise SidewireError(f"{task.frame.name}: {result.reason}")
            if spec.sink is not None:
                (spec.sink / f"{task.frame.key.seq}").write_bytes(result.picture)

    def answer(wanted: BarePass) -> Times | SidewireError:
        began = time.monotonic()
        try:
            numbers = range(wanted.first, wanted.count, wanted.step)
            for begin in range(0, len(numbers), wanted.batch):
                for batch in batches_of_a_size(tasks(numbers[begin : begin + wanted.batch])):
                    finish(batch)
        except SidewireError as error:
            return error
        return began, time.monotonic()

    return None, answer


def batches_of_a_size(tasks: Sequence[DecodeTask]) -> list[list[DecodeTask]]:
    """Decoders take pictures of one size together."""
    groups: defaultdict[tuple[int, int], list[DecodeTask]] = defaultdict(list)
    for task in tasks:
        header = Container.from_bytes(task.frame.container).header
        groups[header.width, header.height].append(task)
    return list(groups.values())
