"""The pure parts of ``sidewire bench``: arrivals, rows, figures, comparison, pictures."""

from __future__ import annotations

import json
import math
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.bench.arrivals import OpenLoop, intended_times
from cluster.bench.bare import BareChoice, BareRate
from cluster.bench.bare_process import BarePass, BareSpec, build_bare
from cluster.bench.baseline import BaselineError, changes, read_baseline
from cluster.bench.feed import prepare_feed, synthetic_picture
from cluster.bench.load import LoadGenerator, SentFrame
from cluster.bench.measured import Repeat
from cluster.bench.options import BenchOptions, Size, Slo, counts
from cluster.bench.rates import achieved, goodput, offered
from cluster.bench.repeats import MOST_REPEATS, mean_interval, relative_width
from cluster.bench.rows import PARTS, FrameRow, RunPlace, frame_rows
from cluster.bench.summary import MOST_LAG_MS, summarise
from cluster.bench.usage import cpu_seconds, descendants
from cluster.bench.watch import GatewayWatch, SeenFrame
from receiver.decoders.worker import DecodingSettings, PictureFormat
from receiver.work import DecodeTask, Frame, Key
from sender.encode_worker import CodecSettings
from sender.sources import SourcePicture
from sender.window import SendWindow
from sender.words import Words
from shared.errors import SidewireError
from shared.metrics import psnr
from shared.pictures import Picture, read_picture, write_picture
from shared.settings import SettingsError
from shared.wire.v1 import types_pb2 as wire
from tests.patience import PATIENCE
from tests.processes import until

WITH_TEXT, NO_TEXT = "DECODED_WITH_TEXT", "DECODED_NO_TEXT"


# Arrivals


@given(st.floats(0.1, 1000), st.integers(1, 50), st.integers(1, 8))
def test_equal_gaps_of_all_senders_interleave(rate: float, count: int, senders: int) -> None:
    times = sorted(
        time
        for sender in range(senders)
        for time in intended_times(OpenLoop(rate), count, sender, senders)
    )
    assert times == pytest.approx([number / rate for number in range(count * senders)])


@given(st.booleans(), st.integers(0, 1 << 32), st.integers(0, 3))
def test_arrivals_rise_and_follow_from_the_seed(poisson: bool, seed: int, sender: int) -> None:
    load = OpenLoop(50.0, poisson, seed)
    times = intended_times(load, 40, sender, 4)
    assert list(times) == sorted(times)
    assert times == intended_times(load, 40, sender, 4)


def test_poisson_gaps_are_exponential() -> None:
    times = intended_times(OpenLoop(20.0, poisson=True), 20_000, 0, 1)
    gaps = np.diff(times)
    assert statistics.fmean(gaps) == pytest.approx(1 / 20, rel=0.03)
    assert np.std(gaps) == pytest.approx(1 / 20, rel=0.05)
    assert times != intended_times(OpenLoop(20.0, poisson=True), 20_000, 1, 2)


# The load generator


def pictures(count: int) -> Sequence[SourcePicture]:
    return [SourcePicture(seq, str(seq), b"") for seq in range(count)]


class Clock:
    """The machine's, for a machine that is never late."""

    def __init__(self) -> None:
        self._now = 1000.0

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


def test_pictures_are_handed_over_when_due_and_lag_is_the_generators_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr("cluster.bench.load.time", clock)
    start = clock.monotonic() + 0.05
    load = LoadGenerator(start, [0.0, 0.05, 0.10], 1)
    handed = []
    for picture in load.pace(iter(pictures(3))):
        handed.append(clock.monotonic() - start)
        if picture.seq == 0:
            # A sender without room: the next one is late through no fault of the pace.
            clock.sleep(0.12)
    dues = [0.0, 0.05, 0.10]
    assert all(when >= due - 1e-9 for when, due in zip(handed, dues, strict=True))
    first, second, _ = load.frames
    assert second.due == pytest.approx(start + 0.05)
    assert handed[1] == pytest.approx(0.12)
    assert second.lag < 0.03
    assert first.lag < 0.03


def test_a_closed_loop_waits_for_ends() -> None:
    load = LoadGenerator(time.monotonic(), None, 2)
    seen: list[int] = []
    third = threading.Event()

    def read() -> None:
        for picture in load.pace(iter(pictures(3))):
            seen.append(picture.seq)
        third.set()

    threading.Thread(target=read, daemon=True).start()
    until(lambda: seen == [0, 1], "two pictures")
    assert not third.wait(0.1)
    assert seen == [0, 1]
    load.ended(0, WITH_TEXT)
    assert third.wait(PATIENCE)
    assert seen == [0, 1, 2]
    assert load.frames[2].due >= (load.frames[0].ended or math.inf)


def test_a_window_without_credit_is_starved() -> None:
    window: SendWindow[Words] = SendWindow()
    window.credit(wire.Credit(frames=1, bytes=100))
    for seq in (0, 1):
        window.add(Words(seq, b"", "four"))
    assert window.next(0.0) is not None
    assert window.next(0.0) is None
    assert window.starved
    window.credit(wire.Credit(frames=2, bytes=100))
    assert window.next(0.0) is not None
    assert window.next(0.0) is None
    assert not window.starved


# Rows


def test_the_gateway_is_watched_at_the_first_decode_alone() -> None:
    watch = GatewayWatch()
    frame = Frame(Key("s", 1, 7), b"", "n", b"", True, arrived_at=3.0)
    task = DecodeTask(frame, None)
    for _ in range(2):
        watch.waiting(task)
        watch.decoding([task, task])
        watch.decoded([task, task])
    seen = watch.take("s")[7]
    assert (seen.arrived, seen.batch) == (3.0, 2)
    assert seen.decoding is not None
    assert seen.decoded is not None
    assert 3.0 < seen.joined <= seen.decoding <= seen.decoded
    assert not watch.take("s")
    watch.decoded([task])
    assert not watch.take("s")


MOMENTS = st.lists(st.floats(0, 100), min_size=9, max_size=9).map(sorted)


@given(MOMENTS)
def test_parts_add_up_to_the_latency(moments: list[float]) -> None:
    due, encoding, encoded, sent, arrived, joined, decoding, decoded, ended = moments
    frame = SentFrame(0, due, 0.0, encoding, encoded, 10, sent, ended, WITH_TEXT)
    seen = SeenFrame(arrived, joined, decoding, decoded, ended, 1)
    (row,) = frame_rows(RunPlace(1, 0, 0, 0), 0.0, [100], [frame], {0: seen})
    parts = [row.part_ms(part) for part in PARTS]
    assert all(part is not None and part >= 0 for part in parts)
    assert sum(part or 0.0 for part in parts) == pytest.approx(row.e2e_ms, abs=1e-6)


def test_a_frame_that_the_gateway_never_decoded_has_a_row_too() -> None:
    frame = SentFrame(3, 1.0, 0.0, 1.0, 1.5, 0, 1.6, 2.0, "REJECTED")
    (row,) = frame_rows(RunPlace(1, 0, 0, 4), 0.5, [100, 200], [frame], {})
    assert (row.pixels, row.counts, row.batch) == (200, False, 0)
    assert row.e2e_ms == pytest.approx(1000)
    assert row.part_ms("decode") is None


# Figures


def steady(count: int, gap: float, *, warmup: int = 0, latency: float = 0.1) -> list[FrameRow]:
    """Frames that are due and end at equal gaps."""
    frames = [
        SentFrame(n, n * gap, 0.001, n * gap, n * gap, 50, n * gap, n * gap + latency, WITH_TEXT)
        for n in range(count)
    ]
    seen = {one.seq: SeenFrame(one.due, one.due, one.due, one.due + latency) for one in frames}
    return list(frame_rows(RunPlace(1, 0, 0, warmup), 0.0, [100], frames, seen))


def test_rates_of_a_steady_stream() -> None:
    rows = steady(110, 0.02, warmup=10)
    assert offered(rows) == pytest.approx(50)
    assert achieved(rows) == pytest.approx(50)


def test_frames_that_were_not_decoded_are_no_throughput() -> None:
    rows = steady(110, 0.02, warmup=10)
    half = [replace(row, disposition="REJECTED") if row.seq % 2 else row for row in rows]
    assert achieved(half) == pytest.approx(25, rel=0.02)


def test_a_backlog_that_ends_late_is_no_throughput() -> None:
    rows = [replace(row, ended_s=50.0 + row.seq / 1e6) for row in steady(110, 0.02, warmup=10)]
    assert achieved(rows) == 0


def test_goodput_counts_what_is_in_time_and_no_more_than_the_text_allows() -> None:
    rows = steady(110, 0.02, warmup=10, latency=0.1)
    slow = [
        replace(row, ended_s=(row.ended_s or 0) + 0.009) if row.seq % 4 == 1 else row
        for row in rows
    ]
    bare = [replace(row, disposition=NO_TEXT) if row.seq % 2 else row for row in rows]
    assert goodput(rows, Slo()) == achieved(rows)
    assert goodput(rows, Slo(e2e_ms=50)) == 0
    assert goodput(slow, Slo(e2e_ms=105)) == pytest.approx(37.5, rel=0.02)
    assert goodput(bare, Slo(text_rate=0.4)) == pytest.approx(50)
    assert goodput(bare, Slo(text_rate=0.8)) == pytest.approx(25 / 0.8, rel=0.02)


def repeat(rows: Sequence[FrameRow], bare: BareRate | None = None) -> Repeat:
    return Repeat(rows, 1, [0.5], [], {"NOTED": 2}, {"gateway": 0.5}, None, bare)


def test_a_point_adds_up() -> None:
    bare = BareRate(100.0, BareChoice(2, 1, 4))
    repeats = [repeat(steady(110, gap, warmup=10), bare) for gap in (0.02, 0.021, 0.019)]
    point = summarise(4, repeats, Slo(), single=(1, 25.0))
    assert point.frames == 300
    assert point.dispositions == {WITH_TEXT: 330}
    assert point.captions == {"NOTED": 6}
    assert (point.resent, point.credit_stalls, point.credit_stall_seconds) == (3, 3, 1.5)
    assert point.bare_choice == BareChoice(2, 1, 4)
    assert point.efficiency_vs_bare_loop is not None
    assert point.efficiency_vs_bare_loop.value == pytest.approx(point.achieved.value / 100)
    assert point.scaling_efficiency == pytest.approx(point.achieved.value / 100)
    assert point.bpp == pytest.approx(8 * 50 / 100)
    assert point.latency_ms["e2e"].p50 == pytest.approx(100)
    assert point.latency_ms["decode"].max == pytest.approx(100)
    assert point.valid


def test_a_late_generator_invalidates_the_point() -> None:
    rows = [replace(row, lag_ms=2 * MOST_LAG_MS) for row in steady(20, 0.02)]
    assert not summarise(1, [repeat(rows)], Slo()).valid


def test_nothing_that_ended_is_no_rate() -> None:
    rows = [replace(row, ended_s=None, disposition="") for row in steady(5, 0.02)]
    point = summarise(1, [repeat(rows)], Slo())
    assert point.achieved.value == 0
    assert math.isnan(point.e2e_p50_ms.value)


@given(st.lists(st.floats(1, 1000), min_size=2, max_size=MOST_REPEATS))
def test_the_interval_is_around_the_mean(values: list[float]) -> None:
    found = mean_interval(values)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    assert relative_width(found) == pytest.approx((found.high - found.low) / found.value)


def test_students_interval_of_a_textbook() -> None:
    found = mean_interval([9.0, 10.0, 11.0])
    assert found.high == pytest.approx(10 + 4.303 / math.sqrt(3))
    assert mean_interval([3.0]).low is None
    assert relative_width(mean_interval([3.0])) == math.inf


# Comparison


def baseline(folder: Path, achieved_s: tuple[float, float, float]) -> Path:
    value, low, high = achieved_s
    figure = {"value": value, "low": low, "high": high}
    alone = {"value": 100.0, "low": None, "high": None}
    point = {"decoders": 1, "achieved": figure, "goodput": figure}
    point |= {"e2e_p50_ms": alone, "e2e_p99_ms": alone}
    (folder / "summary.json").write_text(json.dumps({"points": [point]}))
    return folder


@pytest.mark.parametrize(
    ("before", "worse", "better"),
    [
        ((80.0, 78.0, 82.0), True, False),
        ((50.0, 40.0, 60.0), False, False),
        ((20.0, 19.0, 21.0), False, True),
    ],
)
def test_worse_is_beyond_both_intervals(
    tmp_path: Path, before: tuple[float, float, float], worse: bool, better: bool
) -> None:
    repeats = [repeat(steady(100, gap)) for gap in (0.02, 0.0202, 0.0198)]
    point = summarise(1, repeats, Slo())
    found = {one.figure: one for one in changes(read_baseline(baseline(tmp_path, before)), [point])}
    assert (found["achieved"].worse, found["achieved"].better) == (worse, better)
    assert found["achieved"].ratio == pytest.approx(point.achieved.value / before[0])
    assert not found["e2e_p50_ms"].worse
    assert changes(read_baseline(tmp_path), [replace(point, decoders=2)]) == []


@pytest.mark.parametrize("content", [None, "no json", "{}", '{"points": [{}]}', "[]"])
def test_a_baseline_that_is_none_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(BaselineError, match=r"summary\.json"):
        read_baseline(tmp_path)


# Options, pictures, use


@pytest.mark.parametrize("text", ["", "2,1", "0", "1,1", "a"])
def test_numbers_of_decoders_rise_from_one(text: str) -> None:
    assert counts("1,2,4") == (1, 2, 4)
    with pytest.raises(ValueError, match="must be rising numbers"):
        counts(text)


@pytest.mark.parametrize("text", ["e2e_ms", "e2e=3", "e2e_ms=0", "text_rate=2", "e2e_ms=nan"])
def test_a_wrong_slo_is_refused(text: str) -> None:
    assert Slo.parse("e2e_ms=500,text_rate=0.9") == Slo(500, 0.9)
    assert Slo.parse("") == Slo()
    with pytest.raises(ValueError, match=r"e2e|text_rate"):
        Slo.parse(text)
    with pytest.raises(SettingsError, match=r"slo is .* \(flag\), .*(e2e|text_rate)"):
        BenchOptions.load({"out": "out", "slo": text})


def test_options_are_written_as_they_are_given() -> None:
    given = {"size": "96x64", "decoders": "1,2", "slo": "e2e_ms=500,text_rate=0.9"}
    options = BenchOptions.load({"out": "out"} | given)
    assert (options.size, options.decoders) == (Size(96, 64), (1, 2))
    assert options.slo == Slo(500, 0.9)
    written = options.model_dump(mode="json")
    assert written.items() >= given.items()
    assert BenchOptions.load(written).model_dump() == options.model_dump()
    assert str(Slo()) == ""


def test_a_closed_loop_needs_more_frames_than_are_under_way(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="frames is 10, must be at least 32"):
        BenchOptions.load({"out": tmp_path, "frames": 10})
    with pytest.raises(SettingsError, match="warmup is 15, must be at least 16"):
        BenchOptions.load({"out": tmp_path, "warmup": 15})
    assert BenchOptions(out=tmp_path, rate=5.0, frames=2, warmup=0).arrivals == OpenLoop(5.0)


def test_sizes() -> None:
    assert Size.parse("768x512") == Size(768, 512)
    for text in ("768", "0x5", "axb", "768x512x3"):
        with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
            Size.parse(text)


def test_synthetic_pictures_follow_from_their_seed() -> None:
    picture = synthetic_picture(Size(96, 64), 5)
    assert picture.shape == (64, 96, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, synthetic_picture(Size(96, 64), 5))
    assert not np.array_equal(picture, synthetic_picture(Size(96, 64), 6))
    assert 10 < picture.std() < 90


def test_a_feed_is_sent_whole(tmp_path: Path) -> None:
    options = BenchOptions(out=tmp_path, size=Size(32, 16), frames=40, warmup=16)
    feed = prepare_feed(options, tmp_path)
    assert feed.frames >= 56
    assert feed.frames % len(feed.pixels) == 0
    assert set(feed.pixels) == {512}


def test_the_bare_loop_writes_every_picture_once(tmp_path: Path, kodak: dict[str, Picture]) -> None:
    sizes = (64, 96, 64)
    crops = [kodak["kodim07"][:side, :side] for side in sizes]
    table = {"id": [], "image": [], "captions": []}
    for number, crop in enumerate(crops):
        write_picture(tmp_path / "crop.png", crop)
        table["id"].append(str(number))
        table["image"].append((tmp_path / "crop.png").read_bytes())
        table["captions"].append(["A red flower"])
    pq.write_table(pa.table(table), tmp_path / "feed.parquet")
    sink = tmp_path / "sink"
    spec = BareSpec(
        tmp_path / "feed.parquet",
        CodecSettings("base", 4, 1),
        DecodingSettings(PictureFormat.PNG, None, 1),
        words=True,
        sink=sink,
    )
    _, make = build_bare(spec)
    for first in (0, 1):  # as two processes would share five pictures
        times = make(BarePass(first, 2, 5, batch=2))
        assert not isinstance(times, SidewireError)
        assert times[0] < times[1]
    pictures = {int(file.name): read_picture(file) for file in sink.iterdir()}
    assert sorted(pictures) == list(range(5))
    for number, picture in pictures.items():
        assert psnr(crops[number % 3], picture) > 25


def test_this_process_uses_cpu_time() -> None:
    before = cpu_seconds(1 << 30)
    assert before == 0
    begin = time.process_time()
    while time.process_time() - begin < 0.05:
        pass
    assert cpu_seconds(int(Path("/proc/self").readlink().name)) > 0
    assert descendants(1 << 30) == set()
