"""Invariant: a codec that reads no words waits for none; they are acked, and kept beside the picture."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.trials.effects import folder_deliveries, judge
from cluster.trials.processes import Ends
from tests.conftest import GOLDEN
from tests.patience import PATIENCE
from tests.processes import until, until_delivered

NAMES = ("parrots", "lighthouse", "strip")


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """Containers of ``base``, with captions."""
    rows = [
        {"id": name, "image": (GOLDEN / f"{name}.swi").read_bytes(), "captions": [f"of {name}"]}
        for name in NAMES
    ]
    path = tmp_path / "feed.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_words_come_beside_pictures_that_did_not_wait_for_them(tmp_path: Path, feed: Path) -> None:
    decoding = ("--set", f"bundle={GOLDEN / 'bundle'}", "--set", "decoder_processes=1")
    with Ends(tmp_path, feed, receive=(*decoding, "--caption-wait", "3000")) as ends:
        receiver = ends.start_receiver()
        assert receiver.line()["ready"]
        # Its standard error passes through the receiver's own filter of gRPC's log.
        said = "streams of base are decoded without words"
        until(lambda: said in ends.said("receive"), "the receiver says that words change nothing")
        # It says that captions will come: they would be waited for.
        assert ends.start_sender("--set", "expect_captions=true").wait(PATIENCE) == 0
        until_delivered(ends.sink, len(NAMES))
        assert ends.start_publisher().wait(PATIENCE) == 0
        until_delivered(ends.sink, 2 * len(NAMES))
        found = [json.loads(path.read_text()) for path in sorted(ends.sink.glob("*/*.r1.json"))]
        assert [(one["disposition"], one["name"], one["caption"]) for one in found] == [
            ("NOTED", name, f"of {name}") for name in NAMES
        ]
        pictures = list(ends.sink.glob("*/*.png"))
        assert len(pictures) == len(NAMES)
        verdict = judge(folder_deliveries(ends.sink), ends.ledger, len(NAMES), lambda _: True)
        assert (verdict.flaws, verdict.wordless) == ({}, [])
        assert verdict.dispositions == {"DECODED_NO_TEXT": 3, "NOTED": 3}
