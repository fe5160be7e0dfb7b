"""``sidewire bench`` from end to end: real processes and sockets, a decoder that does nothing."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster.bench.rows import PARTS
from cluster.console import EXIT_WORK_LEFT
from cluster.trials.feed import write_feed
from cluster.trials.processes import command
from tests.commands import sidewire
from tests.patience import PATIENCE
from tests.processes import HEEDING_INTERRUPTS

ROWS, WARMUP, SENDERS, REPEATS = 24, 4, 2, 2
FRAMES = ROWS * SENDERS * REPEATS


def bench(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        command("bench", *words), capture_output=True, text=True, check=False, timeout=800
    )
    assert run.returncode == code, (run.stdout, run.stderr)
    return run


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an open loop, a caption in four lost."""
    folder = tmp_path_factory.mktemp("bench")
    write_feed(folder / "feed.parquet", ROWS, 2000)
    bench(
        *("--out", folder / "report", "--feed", folder / "feed.parquet", "--codec", "sealed"),
        *("--decoder", "benchmark-noop", "--senders", SENDERS, "--rate", 60, "--poisson"),
        *("--frames", ROWS - WARMUP, "--warmup", WARMUP, "--sink", "none"),
        *("--repeats", REPEATS, "--most-repeats", REPEATS),
        *("--caption-loss", 0.25, "--caption-wait", 0.2, "--slo", "e2e_ms=10000,text_rate=0.5"),
    )
    return folder / "report"


@pytest.fixture(scope="module")
def summary(report: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((report / "summary.json").read_text())
    return values


def test_every_frame_has_one_row_and_its_parts_add_up(report: Path) -> None:
    rows = pq.read_table(report / "frames.parquet").to_pylist()
    places = {(row["repeat"], row["sender"], row["seq"]) for row in rows}
    assert len(rows) == len(places) == FRAMES
    for row in rows:
        parts = [row[f"{part}_ms"] for part in PARTS]
        assert all(part >= 0 for part in parts), row
        assert sum(parts) == pytest.approx(row["e2e_ms"], abs=1e-3)
        assert row["encoded_s"] <= row["sent_s"] <= row["ended_s"]
        assert row["decoded_s"] <= row["committed_s"] <= row["ended_s"]
        assert row["counts"] == (row["seq"] >= WARMUP)


def test_the_summary_adds_up(report: Path, summary: dict[str, Any]) -> None:
    (point,) = summary["points"]
    ends = point["dispositions"]
    assert sum(ends.values()) == FRAMES
    assert set(ends) == {"DECODED_WITH_TEXT", "DECODED_NO_TEXT"}
    # On a busy machine a caption may miss its picture's wait.
    captions = point["captions"]
    assert captions["DECODED_WITH_TEXT"] == ends["DECODED_WITH_TEXT"]
    assert set(captions) <= {"DECODED_WITH_TEXT", "DECODED_TEXT_LATE"}
    assert point["frames"] == (ROWS - WARMUP) * SENDERS * REPEATS
    assert point["repeats"] == REPEATS
    assert point["latency_ms"]["join_wait"]["max"] >= 190
    assert 0 < point["goodput"]["value"] <= point["achieved"]["value"]
    assert point["cores"]["senders"] > 0
    assert summary["efficiency_vs_bare_loop"] is None
    assert summary["frames_per_s"] == point["achieved"]["value"]


def test_the_page_loads_what_lies_beside_it(report: Path) -> None:
    page = (report / "index.html").read_text()
    for name in ("latency.png", "parts.png", "rate.png"):
        assert f'src="{name}"' in page
        assert (report / name).read_bytes().startswith(b"\x89PNG")
    assert "http" not in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--poisson",), "give --rate too"),
        (("--decoders", "2,1"), "must be rising numbers"),
        (("--slo", "fast=1"), "neither e2e_ms nor text_rate"),
        (("--size", "big"), "WIDTHxHEIGHT"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    run = sidewire("bench", "--out", tmp_path / "out", *words, code=2)
    assert said in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_measured_is_one_line(tmp_path: Path) -> None:
    feed = tmp_path / "feed.parquet"
    write_feed(feed, 4, 2000)
    run = bench("--out", tmp_path / "out", "--feed", feed, "--baseline", tmp_path, code=1)
    assert "no baseline at" in run.stderr
    run = bench(
        *("--out", tmp_path / "out", "--feed", feed, "--codec", "nonsense"),
        *("--decoder", "benchmark-noop", "--no-references"),
        code=2,
    )
    assert run.stderr.strip().splitlines()[-1].startswith("sidewire: no codec 'nonsense'")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_measured_before_a_stop_is_reported(
    tmp_path: Path, number: signal.Signals
) -> None:
    write_feed(tmp_path / "feed.parquet", ROWS, 2000)
    out = tmp_path / "report"
    words = command(
        *("bench", "--out", out, "--feed", tmp_path / "feed.parquet", "--codec", "sealed"),
        *("--decoder", "benchmark-noop", "--sink", "none", "--no-captions", "--frames", 40),
        *("--width", 0, "--repeats", 20, "--most-repeats", 20),
    )
    running = subprocess.Popen((*HEEDING_INTERRUPTS, *words), stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    said = iter(running.stderr.readline, "")
    assert any("repeat 2" in line for line in said)
    running.send_signal(number)
    _, rest = running.communicate(timeout=PATIENCE)
    assert running.returncode == EXIT_WORK_LEFT
    assert f"stopped; {out} has what was measured before" in rest
    assert "Traceback" not in rest
    (point,) = json.loads((out / "summary.json").read_text())["points"]
    assert 2 <= point["repeats"] < 20
    repeats = pq.read_table(out / "frames.parquet")["repeat"].unique().to_pylist()
    assert len(repeats) == point["repeats"]
    assert (out / "index.html").exists()
