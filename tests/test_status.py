"""What ``sidewire status`` shows of a real receiver."""

from __future__ import annotations

import io
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.status import as_json
from cluster.status_table import as_table
from cluster.trials.feed import write_feed
from cluster.trials.processes import Ends, Program, command, result
from receiver.tallies import RATE_SECONDS, Tallies
from receiver.work import Caption, End, Key, caption_end
from shared.wire.v1 import control_pb2, types_pb2
from tests.patience import PATIENCE
from tests.processes import HEEDING_INTERRUPTS

ROWS = 12
#: As long as a stream's name may be.
NAME = "newswire-" + "0123456789" * 5 + "-west"


@pytest.fixture
def ends(tmp_path: Path) -> Any:
    write_feed(tmp_path / "feed.parquet", rows=ROWS, payload_bytes=60)
    sealed = ("--codec", "sealed", "--set", f"stream={NAME}")
    with Ends(tmp_path, tmp_path / "feed.parquet", send=sealed) as both:
        yield both


def started(ends: Ends, *words: object) -> Program:
    """A receiver that listens."""
    receiver = ends.start_receiver(*words)
    assert receiver.line()["ready"]
    return receiver


def status(ends: Ends) -> dict[str, Any]:
    return result(("status", "--images", ends.images))


def table(ends: Ends) -> str:
    done = subprocess.run(
        command("status", "--images", ends.images),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return done.stdout


def test_open_and_ended_streams_with_their_ends(ends: Ends) -> None:
    receiver = started(ends, "--caption-wait", PATIENCE)
    # Words whose pictures do not come keep the stream open, however long a look at it takes.
    publisher = ends.start_publisher("--stream", NAME, "--set", "repeat=2")
    sender = ends.start_sender("--set", "expect_captions=true")
    assert sender.wait() == 0, ends.said("send")
    found = status(ends)
    (stream,) = found["sessions"]
    assert (stream["stream"], stream["sender"], stream["epoch"]) == (NAME, "anonymous", 1)
    assert stream["ends"] == {"decoded_with_text": {"frames": ROWS, "captions": ROWS}}
    assert stream["images"]["ended_below"] == stream["captions"]["ended_below"] == ROWS
    assert stream["frames_per_second"] > 0
    assert stream["captions_per_second"] > 0
    assert found["decoders"]["alive"] == found["decoders"]["wanted"] > 0
    assert (found["ended"], found["ended_streams"], found["trouble"]) == ([], 0, "")
    assert found["server"].startswith("sidewire ")
    text = table(ends)
    assert NAME in text
    assert f"{ROWS} decoded with text" in text
    assert "decoders alive" in text

    publisher.kill()
    receiver.signal(signal.SIGTERM)
    assert receiver.wait() == 0
    started(ends)
    found = status(ends)
    assert (found["sessions"], found["ended_streams"]) == ([], 1)
    (stream,) = found["ended"]
    assert (stream["stream"], stream["images"]["ended_below"]) == (NAME, ROWS)
    assert stream["ends"] == {}  # they are counted since the receiver started
    assert "streams that nobody has open" in table(ends)


def test_watching_outlives_the_receiver(ends: Ends) -> None:
    receiver = started(ends)
    words = ("status", "--images", ends.images, "--watch", "--json")
    watching = Program(*words, log=ends.folder / "status.log", before=HEEDING_INTERRUPTS)
    try:
        assert watching.line()["sessions"] == []
        receiver.kill()
        problem = ""
        while not problem:
            problem = watching.line().get("problem", "")
        assert problem == f"no answer from {ends.images}: nothing listens at {ends.images}"
        started(ends)
        while "sessions" not in watching.line():
            pass
        watching.signal(signal.SIGINT)
        assert watching.wait() == 0
        assert (ends.folder / "status.log").read_text() == ""
    finally:
        watching.kill()


def shown(answer: control_pb2.ListSessionsResponse, width: int, problem: str = "") -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(as_table(answer, problem))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_name_is_whole_where_there_is_room_and_never_cut_off() -> None:
    session = control_pb2.Session(stream_id=NAME, sender="a", epoch=1)
    answer = control_pb2.ListSessionsResponse(
        sessions=[session, control_pb2.Session(stream_id="other", sender="b")],
        decoders=control_pb2.Decoders(wanted=4, alive=3),
        ended=[session],
        ended_streams=9,
        trouble="No space left on device",
        up_seconds=3 * 3600 + 120,
    )
    wide = shown(answer, 200, "no answer")
    assert wide.count(NAME) == 3  # a row a channel, and one where it is not open
    for text in (
        "3 of 4 decoders alive",
        "up 3 h 2 min",
        "nothing is acked: No space left on device",
        "no answer",
        "the last 1 of 9",
        "sender",
    ):
        assert text in wide
    narrow = shown(answer, 100)
    assert "…" not in narrow
    cells = [line.split("│")[1].strip() for line in narrow.splitlines() if line.startswith("│")]
    assert NAME in "".join(cells)


def test_dispositions_have_names_in_json() -> None:
    tally = control_pb2.Tally(disposition=types_pb2.DISPOSITION_EXPIRED, frames=2, captions=3)
    answer = control_pb2.ListSessionsResponse(ended=[control_pb2.Session(tallies=[tally])])
    assert json.loads(as_json(answer))["ended"][0]["ends"] == {
        "expired": {"frames": 2, "captions": 3}
    }


def test_rates_are_of_the_last_minute() -> None:
    now = 0.0
    tallies = Tallies(lambda: now)
    for second in range(120):
        now = float(second)
        tallies.ended(ended(second))
        tallies.ended(ended(second))
    rate = tallies.all.caption_rate
    assert rate.value(now) == pytest.approx(2.0, rel=0.1)
    assert tallies.streams["s"].caption_rate.value(now) == rate.value(now)
    assert tallies.all.captions == {types_pb2.DISPOSITION_NOTED: 240}
    assert rate.value(now + RATE_SECONDS + 1) == 0.0


def ended(seq: int) -> End:
    caption = Caption(Key("s", 1, seq), b"", 1, None, "", 0.0)
    return caption_end(caption, types_pb2.DISPOSITION_NOTED)
