"""The conformance kit against our own two ends as real processes, and against ends that were broken."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conformance.__main__ import main
from tests.conformance.make_vectors import VECTORS_FILE, vectors_json
from tests.conftest import GOLDEN
from tests.patience import PATIENCE

SIDEWIRE = (str(Path(sys.executable).parent / "sidewire"),)
PICTURES = ("pixel", "strip", "lighthouse") * 3


def patched(patch: str) -> tuple[str, ...]:
    """``sidewire`` with a fault: some lines that are run before it."""
    return (sys.executable, "-c", f"{patch}\nfrom cluster.cli import main; main()")


@contextlib.contextmanager
def receiver(folder: Path, program: Sequence[str], *settings: str) -> Iterator[list[str]]:
    """One process on free ports; the kit's arguments for it."""
    listen = ("--images", "127.0.0.1:0", "--captions", "127.0.0.1:0")
    options = [word for setting in settings for word in ("--set", setting)]
    log = folder / "receiver.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*program, "receive", *listen, "--state", folder / "state", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            line = process.stdout.readline()
            assert line, log.read_text()
            ready = json.loads(line)
            yield ["receiver", "--images", ready["images"], "--captions", ready["captions"]]
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0, log.read_text()


def broken(table: str) -> set[str]:
    """Names of the rules that a table says are broken."""
    return set(re.findall(r"^BROKEN  (.*?)  ", table, re.MULTILINE))


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """Golden containers, for the codec "sealed"; one picture has no caption."""
    path = tmp_path / "feed.parquet"
    rows = {
        "id": [f"{name}-{index}" for index, name in enumerate(PICTURES)],
        "image": pa.array(
            [(GOLDEN / f"{name}.swi").read_bytes() for name in PICTURES], pa.binary()
        ),
        "captions": [[f"words {index}"] if index != 4 else [] for index in range(len(PICTURES))],
    }
    pq.write_table(pa.table(rows), path)
    return path


def sender(program: Sequence[str], feed: Path, *more: str) -> list[str]:
    """The kit's arguments for our sender."""
    what = ("--feed", feed, "--codec", "sealed", "--state", feed.parent / "journal")
    words = (*program, "send", *what, "--images", "{images}", *more)
    return ["sender", "--", *map(str, words)]


# Our own two ends


def test_our_receiver_conforms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = (f"bundle={GOLDEN / 'bundle'}", f"sink={tmp_path / 'sink'}", "caption_wait=0.5")
    with receiver(tmp_path, SIDEWIRE, *settings) as arguments:
        code = main(arguments)
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "0 broken, 0 n/a" in printed


def test_our_sender_and_publisher_conform(feed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(sender(SIDEWIRE, feed, "--captions", "{captions}"))
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "0 broken, 0 n/a" in printed


# The kit finds faults

RECEIVER_FAULTS = {
    "it trusts every frame": (
        "a wrong checksum is refused",
        "import receiver.admission as a; a.frame_crc = lambda stream, epoch, frame: frame.crc32c",
    ),
    "its acks have no checksum": (
        "a picture ends once in a sealed ack",
        "import receiver.attachment as c; c.ack_crc = lambda *anything: 0",
    ),
    "it takes captions of any length": (
        "a long caption is rejected",
        "import receiver.admission as a; a.Admission.check_caption = lambda self, caption: None",
    ),
}


@pytest.mark.parametrize("fault", RECEIVER_FAULTS)
def test_a_faulty_receiver_is_found_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    rule, patch = RECEIVER_FAULTS[fault]
    settings = ("decoder=benchmark-noop", "sink_kind=none")
    with receiver(tmp_path, patched(patch), *settings) as arguments:
        code = main([*arguments, "--only", rule, "--patience", "2"])
    assert code == 1
    assert broken(capsys.readouterr().out) == {rule}


#: What is broken besides is what follows from it.
SENDER_FAULTS = {
    "it ignores credit": (
        {"it stays within its credit"},
        "import sender.window as w\n"
        "w.SendWindow.credit = lambda self, _: setattr(self, '_credit', (1 << 40, 1 << 60))",
    ),
    "it believes every ack": (
        {"a damaged ack says nothing", "what has not ended is sent again"},
        "import sender.link as l\n"
        "l.ack_crc = lambda *_: type('Any', (), {'__ne__': lambda self, other: False})()",
    ),
    "it leaves out a number": (
        {"no number is left out"},
        "import sender.window as w; add = w.SendWindow.add\n"
        "w.SendWindow.add = lambda self, item: item.seq == 4 or add(self, item)",
    ),
    "it sends other words the second time": (
        {"a key means one thing", "its checksums are right"},
        "import sender.pictures as p; from itertools import count; times = count()\n"
        "whole = p.PictureLink.message\n"
        "def message(*given):\n"
        "    made = whole(*given); made.frame.name += str(next(times)); return made\n"
        "p.PictureLink.message = message",
    ),
    "its checksums are wrong": (
        {"its checksums are right"},
        "import sender.pictures as p; p.frame_crc = lambda *anything: 0",
    ),
}


@pytest.mark.parametrize("fault", SENDER_FAULTS)
def test_a_faulty_sender_is_found_out(
    feed: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    rules, patch = SENDER_FAULTS[fault]
    code = main(sender(patched(patch), feed))
    printed = capsys.readouterr().out
    assert code == 1
    assert broken(printed) == rules, printed


# The vectors on disk


def test_the_vectors_on_disk_are_those_of_the_tests() -> None:
    assert VECTORS_FILE.read_text(encoding="utf-8") == vectors_json()


def test_the_vectors_checksums_are_over_the_bytes_beside_them() -> None:
    for one in json.loads(VECTORS_FILE.read_text(encoding="utf-8")):
        assert google_crc32c.value(bytes.fromhex(one["crc_input"])) == one["crc32c"]
