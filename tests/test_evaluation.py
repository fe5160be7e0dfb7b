"""Evaluation end to end: tables that agree with each other, failures that stay where they are."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from cluster.evaluation.report import summary_table
from cluster.evaluation.rows import EvaluationResult
from cluster.evaluation.run import evaluate
from cluster.evaluation.summary import METRICS as ALL_METRICS
from cluster.evaluation.summary import curve_of
from cluster.evaluation.texts import TextMode
from shared.codecs import get_codec, loading
from shared.codecs.interface import Decoded, Decoder, Encoded, Encoder, TextPlacement
from shared.errors import QualityError, SidewireError, UnknownCodecError
from shared.pictures import Picture

CODECS = ["baseline/webp", "baseline/jpeg"]
METRICS = ("psnr", "ms_ssim", "ssimulacra2", "feature_distance", "judge")
METRIC_PSNR = ALL_METRICS[0]


def png(height: int, width: int, seed: int) -> bytes:
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 19), np.sin(y / 15), np.sin((x + y) / 24)], axis=2)
    grain = np.random.default_rng(seed).normal(0, 8, waves.shape)
    pixels = np.clip(128 + 90 * waves + grain, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, the second too small for MS-SSIM, and a broken one between them."""
    images = {"large": png(168, 180, 0), "broken": png(32, 32, 1)[:200], "small": png(64, 48, 2)}
    rows = [{"id": name, "image": data, "captions": ["words"]} for name, data in images.items()]
    path = tmp_path_factory.mktemp("feed") / "feed.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation") / "out"


@pytest.fixture(scope="module")
def result(feed: Path, out: Path) -> EvaluationResult:
    return evaluate(feed, CODECS, "all", out, ssimulacra2_every=2)


def test_every_picture_codec_and_quality_has_a_row(result: EvaluationResult) -> None:
    keys = [(row.id, row.codec, row.quality) for row in result.rows]
    expected = [
        (name, codec, quality)
        for name in ("large", "small")
        for codec in CODECS
        for quality in get_codec(codec).qualities
    ]
    assert keys == expected


def test_rate_is_real_bytes_of_the_true_picture(result: EvaluationResult) -> None:
    row = result.rows[0]
    assert (row.width, row.height) == (180, 168)
    assert row.bpp == 8 * row.bytes / (180 * 168)
    assert (row.caption_bytes, row.caption_bpp, row.text) == (0, 0, "none")
    assert all(row.encode_ms and row.decode_ms for row in result.rows)


def test_metrics_are_null_where_they_do_not_apply(result: EvaluationResult, feed: Path) -> None:
    for row in result.rows:
        assert (row.ms_ssim is None) == (row.id == "small")
        assert row.ssimulacra2 is not None  # rows 0 and 2 of the feed
    assert all(row.pictures == 2 for row in result.summary)


def test_broken_picture_is_reported_and_stops_nothing(result: EvaluationResult) -> None:
    (failure,) = result.failures
    assert (failure.id, failure.codec, failure.quality) == ("broken", None, None)
    assert str(failure).startswith("picture broken: ")


def test_summary_is_the_mean_of_the_rows(result: EvaluationResult, out: Path) -> None:
    table = pq.read_table(out / "results.parquet").to_pylist()
    assert len(table) == len(result.rows)
    summary = json.loads((out / "summary.json").read_text())
    assert len(summary) == len(result.summary)
    for mean in summary:
        rows = [row for row in table if row["codec"] == mean["codec"]]
        rows = [row for row in rows if row["quality"] == mean["quality"]]
        assert mean["pictures"] == len(rows) == 2
        for name in ("bpp", "caption_bpp", "psnr", "ms_ssim", "ssimulacra2", "encode_ms"):
            values = [row[name] for row in rows if row[name] is not None]
            assert mean[name] == pytest.approx(fmean(values))


def test_bd_rates_name_anchor_window_and_interval(result: EvaluationResult, out: Path) -> None:
    table = json.loads((out / "bd_rate.json").read_text())
    assert [(row["codec"], row["anchor"], row["metric"]) for row in table] == [
        ("baseline/jpeg", "baseline/webp", metric) for metric in METRICS
    ]
    for row in table:
        assert row["window_bpp"] == [0.1, 0.6]
        assert (row["percent"] is None) == (row["low_value"] is None)
    assert table[0]["percent"] > 0  # WebP beats JPEG


def test_plots_and_table_can_be_looked_at(result: EvaluationResult, out: Path) -> None:
    for metric in METRICS:
        with Image.open(out / f"rd_{metric}.png") as image:
            assert image.width > 800
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(summary_table(result.summary))
    text = console.export_text()
    assert "baseline/webp" in text
    assert f"{result.summary[0].psnr:.2f}" in text


class FussyCodec(Encoder, Decoder):
    """Raw pixels; it fails on narrow pictures in a way that it has not announced."""

    name = "fussy"
    text = TextPlacement.NOWHERE
    reads_text = False
    qualities = (0, 1)

    def encode(self, picture: Picture, quality: int) -> Encoded:
        height, width = picture.shape[:2]
        if width < 100:
            raise ZeroDivisionError("narrow")
        return Encoded(height.to_bytes(2) + picture.tobytes(), width, height)

    def decode_batch(
        self, blobs: Sequence[bytes], captions: Sequence[str | None]
    ) -> list[Decoded | SidewireError]:
        return [
            Decoded(np.frombuffer(blob[2:], np.uint8).reshape(int.from_bytes(blob[:2]), -1, 3))
            for blob in blobs
        ]


def test_codec_that_fails_on_a_picture_stops_nothing(
    feed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = loading.baseline_names()
    monkeypatch.setattr(loading, "baseline_names", lambda: ("fussy", *known))
    pillow = loading.baseline
    monkeypatch.setattr(
        loading, "baseline", lambda name: FussyCodec() if name == "fussy" else pillow(name)
    )
    result = evaluate(feed, ["fussy", "baseline/jpeg"], [1, 20], tmp_path)
    assert [(f.id, f.codec, f.quality, f.reason) for f in result.failures[1:]] == [
        ("small", "fussy", 1, "ZeroDivisionError: narrow")
    ]
    assert [(row.codec, row.quality, row.pictures) for row in result.summary] == [
        ("fussy", 1, 1),
        ("baseline/jpeg", 20, 2),
    ]
    # A lossless codec has an infinite PSNR, for which JSON has no number.
    assert json.loads((tmp_path / "summary.json").read_text())[0]["psnr"] is None
    # Ours against the baseline: named, though one point is no curve.
    assert {row.percent for row in result.bd_rates} == {None}
    assert {(row.codec, row.anchor) for row in result.bd_rates} == {("fussy", "baseline/jpeg")}


def test_processes_give_the_same_rows_without_times(
    result: EvaluationResult, feed: Path, tmp_path: Path
) -> None:
    spread = evaluate(
        feed, ["baseline/jpeg"], [5, 40], tmp_path, ssimulacra2_every=2, matching=False, jobs=2
    )
    alone = {(row.id, row.codec, row.quality): row for row in result.rows}
    assert len(spread.rows) == 4
    for row in spread.rows:
        twin = alone[row.id, row.codec, row.quality]
        assert (row.bytes, row.psnr) == (twin.bytes, twin.psnr)
        assert row.ms_ssim == pytest.approx(twin.ms_ssim)
        assert row.ssimulacra2 == pytest.approx(twin.ssimulacra2)
        assert (row.encode_ms, row.decode_ms) == (None, None)
    assert [failure.id for failure in spread.failures] == ["broken"]


def test_limit_and_skipped_scores(feed: Path, tmp_path: Path) -> None:
    result = evaluate(feed, ["baseline/jpeg"], [5], tmp_path, limit=1, ssimulacra2_every=0)
    assert [(row.id, row.ssimulacra2) for row in result.rows] == [("large", None)]
    assert result.summary[0].ssimulacra2 is None


def test_feed_of_broken_pictures_gives_empty_tables(tmp_path: Path) -> None:
    feed = tmp_path / "feed.parquet"
    pq.write_table(pa.Table.from_pylist([{"id": "x", "image": b"x", "captions": ["y"]}]), feed)
    result = evaluate(feed, ["baseline/*"], "all", tmp_path / "out")
    assert (result.rows, result.summary, len(result.failures)) == ((), (), 1)
    assert pq.read_table(tmp_path / "out" / "results.parquet").num_rows == 0


def test_unknown_names_and_levels_are_refused_before_any_work(feed: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownCodecError, match="baseline/gif"):
        evaluate(feed, ["baseline/gif"], "all", tmp_path / "out")
    with pytest.raises(QualityError, match="none of the qualities"):
        evaluate(feed, ["baseline/jpeg"], [99], tmp_path / "out")
    assert not (tmp_path / "out").exists()


WORDS = ("a red door", "a house with shutters", "a stone wall")


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures: with three captions, with one, and with none."""
    counts = {"three": 3, "one": 1, "silent": 0}
    rows = [
        {
            "id": name,
            "image": png(96, 112, seed),
            "captions": [f"{w}, {seed}" for w in WORDS[:count]],
        }
        for seed, (name, count) in enumerate(counts.items())
    ]
    path = tmp_path_factory.mktemp("captioned") / "feed.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_text_modes_tell_the_decoder_alone(captioned: Path, tmp_path: Path) -> None:
    result = evaluate(
        captioned, ["ssa", "none"], [1], tmp_path, text=tuple(TextMode), ssimulacra2_every=0
    )
    assert not result.failures
    keys = [(row.id, row.text) for row in result.rows if row.codec == "ssa"]
    always = ["none", "matched", "mismatched", "generic"]
    assert keys == [
        *(("three", text) for text in [*always, "caption-1", "caption-2", "caption-3"]),
        *(("one", text) for text in [*always, "caption-1"]),
        *(("silent", text) for text in always),
    ]
    # A codec that reads no text is measured once, on the same stream.
    assert [(row.id, row.text) for row in result.rows if row.codec == "none"] == [
        (name, "none") for name in ("three", "one", "silent")
    ]
    for name in ("three", "one", "silent"):
        assert len({row.bytes for row in result.rows if row.id == name}) == 1
    told = {(row.id, row.text): row for row in result.rows if row.codec == "ssa"}
    assert told["three", "matched"].caption_bytes == len(f"{WORDS[0]}, 0".encode())
    assert told["three", "mismatched"].caption_bytes == len(f"{WORDS[0]}, 1".encode())
    assert told["three", "caption-2"].caption_bpp == 8 * len(f"{WORDS[1]}, 0") / (96 * 112)
    assert told["silent", "matched"].caption_bytes == 0
    assert told["three", "none"].trust is None
    assert told["three", "matched"].psnr == told["three", "caption-1"].psnr


def test_judge_reads_what_the_decoder_was_not_told(captioned: Path, tmp_path: Path) -> None:
    modes = (TextMode.NONE, TextMode.ALL_CAPTIONS)
    result = evaluate(captioned, ["ssa"], [0], tmp_path, text=modes, ssimulacra2_every=0)
    told = {(row.id, row.text): row for row in result.rows}
    for text, places in {"none": (1, 2), "caption-1": (1, 2), "caption-3": (0, 1)}.items():
        row = told["three", text]
        assert len(row.judge_scores) == 3
        assert row.judge == pytest.approx(fmean(row.judge_scores[place] for place in places))
    assert told["one", "none"].judge is None
    assert told["silent", "none"].judge_scores == ()
    assert all(row.feature_distance is not None for row in result.rows)
    without = evaluate(
        captioned, ["ssa"], [0], tmp_path, matching=False, limit=1, ssimulacra2_every=0
    )
    assert [(row.text, row.judge, row.feature_distance) for row in without.rows] == [
        ("matched", None, None)
    ]


def test_curves_count_the_captions_bits(captioned: Path, tmp_path: Path) -> None:
    modes = (TextMode.NONE, TextMode.MATCHED)
    levels = [0, 8, 16]
    result = evaluate(captioned, ["ssa"], levels, tmp_path, text=modes, ssimulacra2_every=0)
    silent, matched = (curve_of(result.summary, "ssa", text, METRIC_PSNR) for text in modes)
    added = {round(m - s, 9) for m, s in zip(matched.rates, silent.rates, strict=True)}
    assert len(added) == 1
    assert added.pop() > 0
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(summary_table(result.summary))
    assert "matched" in console.export_text()
