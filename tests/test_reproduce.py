"""The tables' statistics on rows with a known answer, and the whole command on shipped weights."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cluster.evaluation.bootstrap import Interval
from cluster.evaluation.rows import ResultRow
from cluster.reproduce.ablation import equal_bits, extra_rates
from cluster.reproduce.comparisons import gain_at_total_bits, mean_gain
from cluster.reproduce.evidence import Request
from cluster.reproduce.extra_rate import extra_rates_percent
from cluster.reproduce.run import reproduce_command
from cluster.reproduce.sheet import JUDGE, MEASURES, Condition, Sheet, SheetError
from cluster.reproduce.ssa import FULL, NO_TEXT, VARIANTS
from cluster.reproduce.stability import guarded, spread_and_gap
from cluster.reproduce.tables import Column, Section, TableRow, markdown
from cluster.reproduce.variants import configured, entry_of
from shared.bundle import shipped_bundle
from shared.errors import SidewireError
from shared.feed import FeedError
from shared.metrics import Curve, bd_rate
from training.recipes.generator import GeneratorRecipe

KODAK8 = Path(__file__).parents[1] / "cluster" / "feeds" / "kodak8.parquet"
PSNR = MEASURES[0]
DISTANCE = MEASURES[2]
PICTURES = 12


def row(
    picture: int,
    codec: str,
    quality: int,
    text: str,
    psnr: float,
    bpp: float,
    scores: Sequence[float] = (0.2, 0.2, 0.2),
) -> ResultRow:
    caption_bpp = 0.0 if text == "none" else 0.01
    return ResultRow(
        id=f"p{picture}",
        codec=codec,
        quality=quality,
        text=text,
        width=100,
        height=100,
        bytes=round(bpp * 1250),
        bpp=bpp,
        caption_bytes=round(caption_bpp * 1250),
        caption_bpp=caption_bpp,
        psnr=psnr,
        ms_ssim=None,
        ssimulacra2=None,
        feature_distance=10 ** (-psnr / 10),
        judge=float(np.mean(scores[1:])),
        judge_scores=tuple(scores),
        trust=None,
        encode_ms=None,
        decode_ms=None,
    )


def grain(picture: int) -> float:
    return float(np.random.default_rng(picture).normal(0, 0.5))


def curve(codec: str, text: str, *, factor: float = 1.0, gain: float = 0.0) -> list[ResultRow]:
    """Four levels, 3 dB a doubling of the rate."""
    return [
        row(n, codec, q, text, 20 + 3 * q + grain(n) + gain, factor * 0.02 * 2**q)
        for n in range(PICTURES)
        for q in range(4)
    ]


def cell(section: Section, name: str, place: int) -> Interval:
    (found,) = [r for r in section.rows if r.name == name]
    value = found.cells[place]
    assert isinstance(value, Interval)
    return value


def test_extra_rate_is_found_with_a_tight_interval() -> None:
    rows = [*curve("full", "matched"), *curve("full", "none", gain=-0.1)]
    sheet = Sheet("feed", [*rows, *curve("no-text", "none", factor=1.15)])
    section = extra_rates(sheet, "full", ["no-text"])
    by_psnr = cell(section, "no-text", 0)
    assert by_psnr.value == pytest.approx(15, abs=1e-6)
    # Paired: both curves move alike from draw to draw.
    assert by_psnr.low == pytest.approx(15, abs=1e-6)
    assert by_psnr.high == pytest.approx(15, abs=1e-6)
    assert math.isnan(cell(section, "no-text", 1).value)  # no MS-SSIM was measured
    assert cell(section, "no-text", 2).value > 0
    text = markdown([section])
    assert "| no-text | **+15.00** [+15.00, +15.00] | - |" in text


def test_gains_at_equal_bits_are_signed_by_what_is_better() -> None:
    rows = [*curve("full", "matched"), *curve("full", "none", gain=-0.25)]
    sheet = Sheet("feed", [*rows, *curve("no-text", "none", gain=-0.5)])
    section = equal_bits(sheet, "full", ["no-text"])
    assert [r.name for r in section.rows[:2]] == ["0, full told nothing", "0, no-text"]
    assert cell(section, "2, full told nothing", 1).value == pytest.approx(0.25)
    assert cell(section, "2, no-text", 1).value == pytest.approx(0.5)
    assert cell(section, "2, no-text", 3).excludes_zero
    assert cell(section, "2, no-text", 3).value > 0  # the distance fell


@given(
    st.lists(st.tuples(st.floats(0.05, 2), st.floats(0.2, 5)), min_size=2, max_size=6),
    st.lists(st.tuples(st.floats(0.05, 2), st.floats(0.2, 5)), min_size=2, max_size=6),
    st.floats(-3, 3),
)
def test_extra_rates_are_bd_rates(
    anchor: list[tuple[float, float]], test: list[tuple[float, float]], start: float
) -> None:
    """They agree with the package's interpolation, a curve at a time."""
    rates, values, test_rates, test_values = (
        np.cumsum([[pair[place] for pair in steps]], axis=1)
        for steps in (anchor, test)
        for place in (0, 1)
    )
    test_values = test_values + start
    found = extra_rates_percent(rates, values, test_rates, test_values)[0]
    curves = [
        Curve(tuple(x[0].tolist()), tuple(y[0].tolist()))
        for x, y in ((rates, values), (test_rates, test_values))
    ]
    expected = bd_rate(*curves, rates[0, 0], rates[0, -1])
    if expected is None:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(expected.percent, rel=1e-6, abs=1e-6)


def test_captions_are_paid_for_at_equal_total_bits() -> None:
    sheet = Sheet("feed", [*curve("words", "matched"), *curve("base", "none")])
    ladder = [Condition("base", q, "none") for q in range(4)]
    found = gain_at_total_bits(sheet, Condition("words", 1, "matched"), ladder, PSNR)
    # 0.04 bpp and 0.01 for the caption, at 3 dB a doubling.
    assert found.value == pytest.approx(-3 * math.log2(0.05 / 0.04))
    assert found.high is not None
    assert found.high < 0
    beyond = gain_at_total_bits(sheet, Condition("words", 3, "matched"), ladder, PSNR)
    assert math.isnan(beyond.value)


def stable_rows(codec: str, matched: float, wrong: float) -> list[ResultRow]:
    """Captions 1, 2, 3 gain 0.9, 1.0 and 1.1 times ``matched``; a wrong one ``wrong``."""
    rows = []
    for n in range(PICTURES):
        base = 25 + grain(n)
        for text, gain in {
            "none": 0.0,
            "matched": 0.9 * matched,
            "mismatched": wrong,
            "generic": 0.1 * matched,
            "caption-1": 0.9 * matched,
            "caption-2": matched,
            "caption-3": 1.1 * matched,
        }.items():
            scores = [0.3 + gain / 10, 0.2 + gain / 10, 0.1 + gain / 10]
            rows.append(row(n, codec, 1, text, base + gain, 0.04, scores))
    return rows


def test_spread_beside_gap() -> None:
    sheet = Sheet("feed", stable_rows("off", 0.5, -0.5))
    section = spread_and_gap(sheet, "off", 1)
    assert cell(section, "spread of the captions' means", 0).value == pytest.approx(0.1)
    assert cell(section, "gap to a wrong caption", 0).value == pytest.approx(1.0)
    assert cell(section, "spread / gap", 0).value == pytest.approx(0.1)
    # The judge reads other captions for each, which alone must make no spread.
    assert cell(section, "spread of the captions' means", 4).value == pytest.approx(0.01)


def test_guard_keeps_gain_and_saves_harm() -> None:
    rows = [*stable_rows("off", 0.5, -0.5), *stable_rows("on", 0.45, -0.05)]
    section = guarded(Sheet("feed", rows), "off", "on", 1)
    assert cell(section, "off, wrong caption over none", 0).value == pytest.approx(-0.5)
    assert cell(section, "on, wrong caption over none", 0).value == pytest.approx(-0.05)
    assert cell(section, "share of the own caption's gain kept", 0).value == pytest.approx(0.9)


def test_judge_compares_by_the_same_captions() -> None:
    rows = [
        row(n, "c", 0, text, 20, 0.1, scores)
        for n in range(2)
        for text, scores in {"caption-1": (0.9, 0.3, 0.3), "none": (0.1, 0.2, 0.2)}.items()
    ]
    sheet = Sheet("feed", rows)
    told, none = Condition("c", 0, "caption-1"), Condition("c", 0, "none")
    assert mean_gain(sheet, told, none, JUDGE).value == pytest.approx(0.1)


def test_incomplete_pictures_are_left_out() -> None:
    rows = [*curve("full", "matched"), *curve("no-text", "none")]
    lacking = [r for r in rows if (r.id, r.codec, r.quality) != ("p3", "no-text", 2)]
    assert Sheet("feed", lacking).ids == tuple(f"p{n}" for n in range(PICTURES) if n != 3)
    more = [row(0, "full", 0, "caption-4", 20, 0.02, (0.2,) * 4), *rows]
    assert "caption-4" not in Sheet("feed", more).texts("full", 0)
    with pytest.raises(SheetError, match="no picture"):
        Sheet("feed", [])


def test_markdown_shows_what_is_and_dashes_what_is_not() -> None:
    columns = (Column("a", 2, signed=True), Column("b", 3), Column("c"))
    rows = (
        TableRow("x", (Interval(0.5, -0.1, 1.1), Interval(1, 0.5, 2), None)),
        TableRow("y", (Interval(math.nan, None, None), 0.25, 7)),
    )
    text = markdown([Section("T", "name", columns, rows, "Note.")])
    assert text.splitlines() == [
        "### T",
        "",
        "Note.",
        "",
        "| name | a | b | c |",
        "| --- | --- | --- | --- |",
        "| x | +0.50 [-0.10, +1.10] | 1.000 [0.500, 2.000] | - |",
        "| y | - | 0.250 | 7 |",
    ]


def test_variants_differ_in_text_alone(tmp_path: Path) -> None:
    configs = [configured(variant) for variant in (FULL, *VARIANTS)]
    assert all(isinstance(config, GeneratorRecipe) for config in configs)
    texts = {(c.generator_text, c.discriminator_text) for c in configs}  # type: ignore[attr-defined]
    assert len(texts) == 4
    differing = {"name", "generator_text", "discriminator_text"}
    assert len({c.model_dump_json(exclude=differing) for c in configs}) == 1
    found = {v.name: entry_of(v, tmp_path) for v in (FULL, *VARIANTS)}
    assert found["no-d-text"] is None
    assert found[FULL.name] is not None
    assert found[NO_TEXT.name] is not None


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of the shipped Kodak pictures, cut small, under the name of the evidence feed."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "test").mkdir()
    rows = pq.read_table(KODAK8, columns=["id", "image", "captions"]).slice(0, 3).to_pylist()
    for row in rows:
        file = io.BytesIO()
        Image.open(io.BytesIO(row["image"])).crop((100, 100, 292, 292)).save(file, "PNG")
        row["image"] = file.getvalue()
    pq.write_table(pa.Table.from_pylist(rows), folder / "test" / "kodak.parquet")
    return folder


def request(evidence: str, data: Path, out: Path, limit: int = 2) -> Request:
    folders = (data, out, out / "variants", out / "joint")
    return Request(evidence, *folders, ssimulacra2_every=3, limit=limit)


def test_table_2_end_to_end(data: Path, tmp_path: Path) -> None:
    reproduce_command(request("ssa-table2", data, tmp_path))
    rows = pq.read_table(tmp_path / "ssa-table2-kodak.parquet").to_pylist()
    assert {r["codec"] for r in rows} == {"guard off", "guard on"}
    for picture in {r["id"] for r in rows}:
        of_one = [r for r in rows if r["id"] == picture]
        assert len(of_one) == 2 * 9
        assert len({r["bytes"] for r in of_one}) == 1  # no caption moves a bit
        silent = {(r["psnr"], r["feature_distance"]) for r in of_one if r["text"] == "none"}
        assert len(silent) == 1  # without words there is nothing to guard
    sections = json.loads((tmp_path / "ssa-table2.json").read_text())
    assert len(sections) == 5
    assert "guard off, level 11, caption by caption, Kodak (2 pictures)" in sections[0]["title"]
    assert (tmp_path / "ssa-table2.md").read_text().count("| caption-5 |") == 2


def test_recipes_are_compared_as_far_as_they_are_there(data: Path, tmp_path: Path) -> None:
    wanted = request("ssa-recipes", data, tmp_path, limit=1)
    with pytest.raises(SidewireError, match="no bundle of the joint recipe"):
        reproduce_command(wanted)
    for place, shipped in (("decoder", "ssa"), ("nowhere", "none")):
        shutil.copytree(shipped_bundle(shipped), wanted.joint / place)
    reproduce_command(wanted)
    extra, own = json.loads((tmp_path / "ssa-recipes.json").read_text())
    assert [row["name"] for row in extra["rows"]] == ["nowhere", "base"]
    assert [row["name"] for row in own["rows"]] == [f"{q}, decoder told nothing" for q in range(16)]


def test_the_worth_of_words_end_to_end(data: Path, tmp_path: Path) -> None:
    reproduce_command(request("ssa-words", data, tmp_path))
    rows = pq.read_table(tmp_path / "ssa-words-kodak.parquet").to_pylist()
    own = [row for row in rows if row["codec"] == "ssa"]
    assert {row["text"] for row in own} == {"none", "matched", "mismatched", "generic"}
    # A level's stream is one, whatever is told; a preview's takes a few dozen bytes.
    for picture, level in {(row["id"], row["quality"]) for row in own}:
        sizes = {r["bytes"] for r in own if (r["id"], r["quality"]) == (picture, level)}
        assert len(sizes) == 1
        assert level < 16 or sizes.pop() < 100
    (table,) = json.loads((tmp_path / "ssa-words.json").read_text())
    assert len(table["rows"]) == 6 * 5
    assert table["rows"][0]["name"] == "preview 1, own caption over none"
    with Image.open(tmp_path / "ssa-words.png") as image:
        assert image.width > 1000


def test_masks_end_to_end(data: Path, tmp_path: Path) -> None:
    reproduce_command(request("ssa-masks", data, tmp_path))
    figures = sorted(tmp_path.glob("masks-kodak-*.png"))
    assert len(figures) == 2
    with Image.open(figures[0]) as image:
        assert image.width > 800
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 1000


def test_folder_without_feeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="none of"):
        reproduce_command(request("ssa-table1", tmp_path, tmp_path / "out"))
