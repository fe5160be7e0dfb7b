"""How far a command is: a bar on a terminal, a plain line now and then elsewhere, each with what remains."""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

from rich.console import Console

from cluster.demo.items import count_items, feed_items
from cluster.progress import LINE_SECONDS, FramesEnded, Meter
from cluster.trials.feed import write_feed
from cluster.trials.processes import command
from receiver.work import Frame, Key, frame_end
from shared.wire.v1.types_pb2 import DISPOSITION_REJECTED

ROOT = Path(__file__).parents[1]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def metered(shown: bool = True) -> tuple[Meter, Clock, io.StringIO]:
    """A meter whose lines can be read, and its clock."""
    out, clock = io.StringIO(), Clock()
    console = Console(file=out, force_terminal=False, width=40)
    return Meter("pictures", shown=shown, console=console, now=clock), clock, out


def test_lines_come_now_and_then_and_say_what_remains() -> None:
    meter, clock, out = metered()
    with meter:
        meter.begin("replaying", 2000)
        for _ in range(1500):
            clock.time += 1 / 16
            meter.advance()
    lines = out.getvalue().splitlines()
    assert len(lines) == int(1500 / 16 / LINE_SECONDS)
    assert lines[0] == "replaying: 160 of 2,000 pictures, about 115 s left"


def test_more_than_was_thought_remains() -> None:
    meter, clock, out = metered()
    with meter:
        meter.begin("measuring", 10)
        meter.advance(10)
        clock.time += LINE_SECONDS
        meter.expect(10)
    assert out.getvalue() == "measuring: 10 of 20 pictures, about 10 s left\n"


def test_each_total_begins_at_zero_and_the_end_leaves_nothing_open() -> None:
    meter, clock, out = metered()
    with meter:
        meter.begin("replaying", 3)
        meter.advance(3)
        meter.begin("drawing", 4)
        clock.time += LINE_SECONDS
        meter.advance(4)
    assert out.getvalue() == "drawing: 4 of 4 pictures\n"


def test_a_meter_that_is_not_shown_is_silent() -> None:
    meter, clock, out = metered(shown=False)
    with meter:
        meter.say("hello")
        meter.advance()  # a live page counts towards nothing
        meter.begin("replaying", 3)
        clock.time += 10 * LINE_SECONDS
        meter.advance()
    assert out.getvalue() == ""


def test_a_picture_counts_once_whatever_its_captions_do() -> None:
    meter, clock, out = metered()
    frame = Frame(Key("camera", 1, 0), bytes(16), "p", b"", expects_caption=True)
    end = frame_end(frame, DISPOSITION_REJECTED, "broken")
    words = type(end)(end.key, 1, end.disposition, frame_ended=False, caption_ended=True)
    observer = FramesEnded(meter)
    meter.begin("replaying", 2)
    observer.ended(end)
    clock.time += LINE_SECONDS
    observer.ended(words)
    observer.ended(end)
    assert out.getvalue() == "replaying: 2 of 2 pictures\n"


def test_a_feed_is_counted_without_its_pictures_being_read(tmp_path: Path) -> None:
    write_feed(tmp_path / "feed.parquet", 7, 100)
    for feed in (None, tmp_path / "feed.parquet"):
        for limit in (None, 5, 50):
            assert count_items(feed, limit) == sum(1 for _ in feed_items(feed, limit, 0))


def test_a_bench_on_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    write_feed(tmp_path / "feed.parquet", 8, 500)
    words = command(
        *("bench", "--out", tmp_path / "report", "--feed", tmp_path / "feed.parquet"),
        *("--codec", "sealed", "--decoder", "benchmark-noop", "--under-way", 4, "--warmup", 4),
        *("--frames", 16, "--sink", "none", "--repeats", 1, "--most-repeats", 1, "--no-captions"),
    )
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # Linux says so at the end
        pass
    os.close(ours)
    assert run.wait(300) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "decoders: 1, warming up" in text
    assert re.search(r"measuring .*\d+/32 pictures", text), text


def test_make_demo_begins_with_what_the_installation_takes(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    for name in ("Makefile", "pyproject.toml", "weights/pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    # Below another make, as in `make test`, it would say first where it is.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    run = subprocess.run(
        ["make", "demo", "PYTHON=false"],
        cwd=tmp_path,
        env=alone,
        capture_output=True,
        text=True,
        check=False,
    )
    first = run.stdout.splitlines()[0]
    assert re.search(r"about \S+ GB to download, \S+ GB on disk", first)
    assert run.returncode != 0
    assert not (tmp_path / ".venv").exists()
