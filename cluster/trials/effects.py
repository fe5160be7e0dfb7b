"""Judging exactly-once from what came out: a sink's deliveries, the ledger's rows, the payloads' numbers."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from cluster.trials.frames import frame, sequence_number, words
from receiver.work import DECODED
from shared.wire.v1.types_pb2 import DISPOSITION_NOTED, Disposition

__all__ = ["Delivered", "Verdict", "as_sent", "folder_deliveries", "judge", "parquet_deliveries"]

FIRST_DISPOSITIONS = {"DECODED_WITH_TEXT", "DECODED_NO_TEXT", "REJECTED", "EXPIRED"}

#: epoch, seq, revision
Key = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Delivered:
    """One delivery as a reader of the sink finds it."""

    key: Key
    disposition: str
    name: str
    caption: str | None
    picture: bytes

    @property
    def seq(self) -> int:
        """The frame's number."""
        return self.key[1]


@dataclass(frozen=True)
class Verdict:
    """What is wrong with one epoch's deliveries.

    Attributes:
        lost: numbers without a first disposition.
        wordless: numbers whose caption neither was used in a picture nor stands beside one.
        applied_twice: numbers with two first dispositions, two pictures of one revision, or two
            pictures of the same words.
        damaged: deliveries of pictures whose content is not what was sent under their key.
        unrecorded: deliveries, of any epoch, that the ledger does not have.
        undelivered: rows of the ledger, of any epoch, that the sink does not have.
        dispositions: how many deliveries of each kind there are.
    """

    lost: list[int]
    wordless: list[int]
    applied_twice: list[int]
    damaged: list[Key]
    unrecorded: list[Key]
    undelivered: list[Key]
    dispositions: Counter[str]

    @property
    def flaws(self) -> dict[str, object]:
        """What is wrong, by name; empty where nothing is."""
        return {
            name: found
            for name, found in vars(self).items()
            if name not in ("dispositions", "wordless") and found
        }


def folder_deliveries(sink: Path, stream: str = "") -> Iterator[Delivered]:
    """The deliveries of a folder sink; of one stream alone where it is named.

    Raises:
        ValueError: a picture without its facts, or a batch that was never made visible.
    """
    files = {path for path in (sink / stream).rglob("*") if path.is_file()}
    described = {path.with_suffix("") for path in files if path.suffix == ".json"}
    strays = [path for path in files if path.with_suffix("") not in described]
    strays += (sink / ".staging").iterdir()
    if strays:
        raise ValueError(f"nothing tells what these are: {sorted(strays)}")
    pictures = {path.with_suffix(""): path for path in files if path.suffix != ".json"}
    for stem in described:
        facts = json.loads(stem.with_name(f"{stem.name}.json").read_text())
        picture = pictures[stem].read_bytes() if stem in pictures else b""
        yield _delivered(facts, picture)


def parquet_deliveries(sink: Path) -> Iterator[Delivered]:
    """The deliveries of a Parquet sink."""
    for part in sink.glob("*.parquet"):
        for row in pq.read_table(part).to_pylist():
            yield _delivered(row, row["image"] or b"")


def _delivered(facts: dict[str, object], picture: bytes) -> Delivered:
    key = (int(str(facts["epoch"])), int(str(facts["seq"])), int(str(facts["revision"])))
    caption = facts["caption"]
    return Delivered(
        key,
        str(facts["disposition"]),
        str(facts["name"]),
        None if caption is None else str(caption),
        picture,
    )


def as_sent(payload_bytes: int) -> Callable[[Delivered], bool]:
    """Whether a delivery is the frame, and the words, that have its number."""

    def right(one: Delivered) -> bool:
        sent = frame(one.seq, payload_bytes)
        return (
            one.picture == sent.container
            and sequence_number(one.picture) == one.seq
            and one.name == sent.name
            and one.caption in (None, words(one.seq).text)
        )

    return right


def judge(
    delivered: Iterable[Delivered],
    ledger: Path,
    frames: int,
    right: Callable[[Delivered], bool],
    epoch: int = 1,
    stream: str | None = None,
) -> Verdict:
    """Compare all that came out with what should have.

    Args:
        frames: how many were sent; their numbers count from 0.
        right: whether a delivery's content is what belongs to its key.
        stream: the one that the deliveries are of, where the ledger has others too.
    """
    everything = list(delivered)
    rows = _ledger_rows(ledger, stream)
    found = Counter((one.key, one.disposition) for one in everything)
    own = [one for one in everything if one.key[0] == epoch]
    firsts = Counter(one.seq for one in own if one.disposition in FIRST_DISPOSITIONS)
    texts = Counter((one.seq, one.caption) for one in own if one.caption is not None)
    keys = Counter(one.key for one in own)
    twice = {seq for seq, times in firsts.items() if times > 1}
    twice |= {seq for (seq, _), times in texts.items() if times > 1}
    twice |= {seq for (_, seq, _), times in keys.items() if times > 1}
    with_words = {seq for seq, _ in texts}
    return Verdict(
        lost=[seq for seq in range(frames) if seq not in firsts],
        wordless=[seq for seq in range(frames) if seq not in with_words],
        applied_twice=sorted(twice),
        damaged=[
            one.key
            for one in own
            if not (one.seq < frames and (one.disposition == "NOTED" or right(one)))
        ],
        unrecorded=[key for key, _ in (found - rows)],
        undelivered=[key for key, _ in (rows - found)],
        dispositions=Counter(one.disposition for one in own),
    )


def _ledger_rows(ledger: Path, stream: str | None) -> Counter[tuple[Key, str]]:
    """Those that a sink hears of."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
        rows = database.execute(
            "SELECT epoch, seq, revision, disposition, frame_ended, reason FROM ends"
            " WHERE stream_id = coalesce(?, stream_id)",
            (stream,),
        )
        return Counter(
            ((epoch, seq, revision), Disposition.Name(disposition).removeprefix("DISPOSITION_"))
            for epoch, seq, revision, disposition, frame_ended, reason in rows
            # A tombstone that is noted has no reason, and words beside a picture have one.
            if frame_ended
            or disposition in DECODED
            or (disposition == DISPOSITION_NOTED and reason)
        )
