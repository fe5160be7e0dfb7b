"""A comparison at equal bits: its pure parts on rows with known answers, the whole on small pictures."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from playwright.sync_api import Browser
from rich.console import Console
from rich.progress import Progress

from cluster.compare import Comparison, Request, compare
from cluster.compare.choice import WINDOW, choose, levels_between, usual_codecs
from cluster.compare.equal_bits import LevelPoint, value_at_bytes
from cluster.compare.gains import compared
from cluster.compare.pairs import pairs_of
from cluster.compare.plots import gains_figure
from cluster.compare.rates import rate_rows
from cluster.compare.records import Counted, Gain, Pair, Question, SavedBits
from cluster.compare.run import print_whole
from cluster.compare.tables import answers, by_level, named, rates, saved_bits
from cluster.evaluation.rows import ResultRow
from cluster.evaluation.run import evaluate
from cluster.evaluation.texts import TextMode
from cluster.feeds import KODAK_FEED
from cluster.figures import write_png
from shared.codecs.loading import get_codec
from shared.errors import QualityError, SidewireError, UnknownCodecError
from shared.feed import read_feed
from shared.pictures import Picture, read_picture
from shared.systems.catalogue import systems
from tests.browser import Watched, browser, needs_chromium
from tests.data_sets import write_pictures
from tests.demo_feed import HOSTILE
from tests.registered import registered

__all__ = ["browser"]

PICTURES = 8
PIXELS = 80_000
CODECS = ("base", "ssa", "none", "baseline/webp")
LEVELS = (9, 11)

points = st.lists(
    st.tuples(st.integers(20, 100_000), st.floats(-50, 50)),
    min_size=2,
    max_size=8,
    unique_by=lambda pair: pair[0],
)


def ladder(pairs: list[tuple[int, float]]) -> list[LevelPoint]:
    return [LevelPoint(level, size, value) for level, (size, value) in enumerate(sorted(pairs))]


@given(points, st.integers(1, 200_000))
def test_between_levels_a_value_never_overshoots_and_beyond_them_there_is_none(
    pairs: list[tuple[int, float]], size: int
) -> None:
    own = ladder(pairs)
    found = value_at_bytes(own, size, 0)
    assert math.isnan(found) == (size < own[0].bytes or size > own[-1].bytes)
    if not math.isnan(found):
        below = max((p for p in own if p.bytes <= size), key=lambda p: p.bytes).value
        above = min((p for p in own if p.bytes >= size), key=lambda p: p.bytes).value
        assert min(below, above) - 1e-9 <= found <= max(below, above) + 1e-9
    assert value_at_bytes(reversed(own), size, 0) == pytest.approx(found, nan_ok=True)


@given(points)
def test_at_a_levels_own_bytes_stands_its_own_value(pairs: list[tuple[int, float]]) -> None:
    own = ladder(pairs)
    assert [value_at_bytes(own, p.bytes, p.level) for p in own] == [p.value for p in own]


@given(st.floats(0, 10), st.floats(-20, 20), st.integers(101, 3999))
def test_a_line_over_the_logarithm_of_the_rate_is_kept(
    slope: float, start: float, size: int
) -> None:
    def line(bytes_: int) -> float:
        return start + slope * math.log(bytes_)

    own = ladder([(size, line(size)) for size in (100, 400, 1000, 4000)])
    assert value_at_bytes(own, size, 0) == pytest.approx(line(size), abs=1e-9)


def test_equal_streams_meet_at_their_level_and_unknown_values_are_passed_over() -> None:
    same = [LevelPoint(3, 100, 1.0), LevelPoint(4, 100, 2.0), LevelPoint(5, 400, math.nan)]
    assert value_at_bytes(same, 100, 4) == 2.0
    assert value_at_bytes(same, 100, 3) == 1.0
    assert math.isnan(value_at_bytes(same, 400, 5))
    assert math.isnan(value_at_bytes([], 400, 5))


@given(
    st.lists(st.floats(0.001, 10), min_size=2, max_size=30, unique=True).map(sorted),
    st.floats(0.001, 10),
    st.floats(1, 50),
)
def test_levels_in_a_window_are_found(rates: list[float], low: float, factor: float) -> None:
    levels = range(5, 5 + len(rates))
    found = levels_between(levels, lambda level: rates[level - 5], (low, low * factor))
    within = {level for level in levels if low <= rates[level - 5] <= low * factor}
    assert within <= set(found)
    assert len(found) == max(2, len(within))
    assert list(found) == list(range(found[0], found[-1] + 1))


def rows_of(
    codec: str, text: str, *, gain: float = 0.0, bits: float = 1.0, caption: int = 0
) -> list[ResultRow]:
    """Four levels of 3 dB a doubling of the rate; ``gain`` dB better than that at equal bits."""
    found = []
    for picture in range(PICTURES):
        grain = float(np.random.default_rng(picture).normal(0, 2))
        for quality, size in enumerate((400, 800, 1600, 3200)):
            own = round(size * bits)
            psnr = 20 + grain + gain + 3 * math.log2(own / 400)
            found.append(
                ResultRow(
                    id=f"p{picture}",
                    codec=codec,
                    quality=quality,
                    text=text,
                    width=400,
                    height=200,
                    bytes=own,
                    bpp=8 * own / PIXELS,
                    caption_bytes=caption,
                    caption_bpp=8 * caption / PIXELS,
                    psnr=psnr,
                    ms_ssim=None,
                    ssimulacra2=None,
                    feature_distance=10 ** (-psnr / 10),
                    judge=0.1,
                    judge_scores=(0.1, 0.1),
                    trust=None,
                    encode_ms=10.0 * (1 + (codec != "base")),
                    decode_ms=5.0,
                )
            )
    return found


def pair(anchor: str, anchor_text: str = "none") -> Pair:
    return Pair(Question.OWN, "told", "encoder", "matched", anchor, anchor_text)


def psnr_gains(
    gains: tuple[Gain, ...], counted: Counted = Counted.PICTURE
) -> dict[int | None, Gain]:
    return {
        gain.quality: gain for gain in gains if (gain.measure, gain.counted) == ("psnr", counted)
    }


def test_a_gain_at_equal_bits_is_told_from_more_bits() -> None:
    """What is told spends 5 % more, of which not all is a gain: its finest level is beyond the other's."""
    rows = rows_of("told", "matched", gain=0.25, bits=1.05) + rows_of("told", "none")
    gains, saved = compared([pair("told")], rows)
    found = psnr_gains(gains)
    assert set(found) == {None, 0, 1, 2, 3}
    for quality in (None, 0, 1, 2):
        assert found[quality].gain.value == pytest.approx(0.25, abs=1e-6)
        assert found[quality].pictures == PICTURES
        assert found[quality].beyond
    assert math.isnan(found[3].gain.value)
    assert (found[3].pictures, found[3].beyond) == (0, False)
    assert {gain.counted for gain in gains} == {Counted.PICTURE}
    (by_psnr,) = (one for one in saved if one.measure == "psnr")
    assert by_psnr.percent.value == pytest.approx(100 * (2 ** (-0.25 / 3) - 1), abs=0.1)
    assert by_psnr.pictures == PICTURES


def test_equal_streams_reduce_to_the_plain_difference() -> None:
    rows = rows_of("told", "matched", gain=-0.5, caption=40) + rows_of("told", "none")
    gains, _ = compared([pair("told")], rows)
    assert [one.gain.value for one in psnr_gains(gains).values()] == pytest.approx([-0.5] * 5)
    # Where the receiver needs the caption, its bytes buy the other side something.
    dearer = psnr_gains(gains, Counted.TOTAL)
    for quality, size in enumerate((400, 800, 1600)):
        lost = 3 * math.log2((size + 40) / size)
        assert dearer[quality].gain.value == pytest.approx(-0.5 - lost, abs=1e-6)
    assert dearer[3].pictures == 0


def test_pictures_that_one_side_could_not_do_are_left_out() -> None:
    rows = rows_of("told", "matched", gain=1) + rows_of("told", "none")
    rows = [row for row in rows if (row.id, row.text, row.quality) != ("p3", "none", 2)]
    gains, _ = compared([pair("told"), pair("elsewhere")], rows)
    assert {one.pair.anchor for one in gains} == {"told"}
    assert psnr_gains(gains)[None].pictures == PICTURES - 1


def test_a_measure_without_figures_is_an_empty_panel(tmp_path: Path) -> None:
    gains, _ = compared([pair("told")], rows_of("told", "matched") + rows_of("told", "none"))
    assert {gain.pictures for gain in gains if gain.measure == "ms_ssim"} == {0}
    figure = gains_figure([gain for gain in gains if gain.quality is not None])
    write_png(tmp_path / "gains.png", figure)
    assert read_picture(tmp_path / "gains.png").shape[1] > 800


@pytest.fixture
def toys() -> Iterator[None]:
    """The made-up system whose encoder is told, in the catalogue without its weights."""
    with registered("tests.toy_system"):
        yield


@pytest.mark.usefixtures("toys")
def test_every_system_meets_itself_its_twin_and_base() -> None:
    pairs, missing = pairs_of(("base", "ssa", "toy", "toy-none", "baseline/webp"))
    assert [(p.codec, p.text_at, p.text, p.anchor, p.anchor_text) for p in pairs] == [
        ("ssa", "decoder", "matched", "ssa", "none"),
        ("ssa", "decoder", "mismatched", "ssa", "none"),
        ("ssa", "decoder", "matched", "base", "none"),
        ("toy", "encoder", "matched", "toy", "none"),
        ("toy", "encoder", "mismatched", "toy", "none"),
        ("toy", "encoder", "matched", "toy-none", "none"),
        ("toy", "encoder", "matched", "base", "none"),
        ("toy-none", "nowhere", "none", "base", "none"),
        ("baseline/webp", "nowhere", "none", "base", "none"),
    ]
    assert [(one.what, one.why) for one in missing] == [("ssa over none", "none was not measured")]


@pytest.mark.usefixtures("toys")
def test_the_usual_codecs_are_those_that_the_question_is_about() -> None:
    names = usual_codecs()
    assert {"base", "ssa", "none", "toy", "toy-none", "baseline/webp", "baseline/avif"} <= set(
        names
    )
    assert "base-1" not in names


def test_times_are_held_against_bases_level_of_the_nearest_rate() -> None:
    rows = rows_of("base", "none") + rows_of("toy", "none", bits=1.1)
    found = rate_rows(rows, {"base": (0, 1, 2, 3), "toy": (0, 1, 2, 3)})
    assert [row.encode_ratio for row in found] == [1.0] * 4 + [2.0] * 4
    alone = rate_rows(rows_of("toy", "none"), {"toy": (0, 1, 2, 3)})
    assert {(row.encode_ratio, row.decode_ratio) for row in alone} == {(None, None)}


def test_names_say_which_end_was_told() -> None:
    assert named("selic", "encoder", "matched") == "selic, own caption at the encoder"
    assert named("ssa", "decoder", "mismatched") == "ssa, wrong caption at the decoder"
    assert named("ssa", "decoder", "none") == "ssa, told nothing"
    assert named("baseline/avif", "nowhere", "none") == "avif"


# The whole of it


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two Kodak pictures made smaller, a broken one between them; the second has hostile words."""
    rows: list[dict[str, object]] = []
    for row in list(read_feed(KODAK_FEED))[:2]:
        with Image.open(io.BytesIO(row.image)) as picture:
            file = io.BytesIO()
            picture.resize((240, 168)).save(file, "PNG")
        first = HOSTILE if rows else row.captions[0]
        rows.append({"id": row.id, "image": file.getvalue(), "captions": [first, row.captions[1]]})
    rows.insert(1, {"id": "<b>broken", "image": b"no picture", "captions": ["Never seen."]})
    path = tmp_path_factory.mktemp("feed") / "feed.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare") / "out"


@pytest.fixture(scope="module")
def found(feed: Path, out: Path) -> Comparison:
    request = Request(feed, out, CODECS, LEVELS, show=2, ssimulacra2_every=4)
    return compare(request, Progress(disable=True))


def test_its_figures_are_those_of_an_evaluation(
    found: Comparison, feed: Path, tmp_path: Path
) -> None:
    text = (TextMode.NONE, TextMode.MATCHED, TextMode.MISMATCHED)
    same = evaluate(feed, ["ssa"], LEVELS, tmp_path, text=text, ssimulacra2_every=0)
    own = [row.mean for row in found.rates if row.mean.codec == "ssa"]
    assert len(own) == len(same.summary) == 6
    for mean, other in zip(own, same.summary, strict=True):
        assert (mean.quality, mean.text, mean.bpp, mean.caption_bpp) == (
            *(other.quality, other.text, other.bpp, other.caption_bpp),
        )
        assert mean.psnr == pytest.approx(other.psnr)
        assert mean.feature_distance == pytest.approx(other.feature_distance)
        assert mean.judge == pytest.approx(other.judge)
    assert all(row.caption_bytes > 0 for row in found.rates if row.mean.text == "matched")
    told = {row.mean.text for row in found.rates if row.mean.codec != "ssa"}
    assert told == {"none"}
    assert {row.encode_ratio for row in found.rates if row.mean.codec == "base"} == {1.0}


def test_one_stream_read_by_three_is_compared_at_its_own_bits(found: Comparison) -> None:
    """The plain mean of differences between rows."""
    means = {(row.mean.codec, row.mean.text, row.mean.quality): row.mean for row in found.rates}
    for gain in found.gains:
        wanted = (Question.TWIN, Counted.PICTURE, "psnr")
        if (gain.pair.question, gain.counted, gain.measure) == wanted and gain.quality:
            told, twin = (
                means[name, text, gain.quality]
                for name, text in (("ssa", "matched"), ("none", "none"))
            )
            assert gain.gain.value == pytest.approx(told.psnr - twin.psnr)
            assert gain.pictures == 2
    asked = {(gain.pair.question, gain.pair.codec) for gain in found.gains}
    assert asked == {
        *((question, "ssa") for question in Question),
        *((Question.BASE, name) for name in ("none", "baseline/webp")),
    }
    assert {one.pair.question for one in found.saved if isinstance(one, SavedBits)} == set(Question)


def test_what_is_missing_is_named(found: Comparison) -> None:
    (failure,) = found.failures
    assert (failure.id, failure.codec) == ("<b>broken", None)
    assert {"LPIPS", "FID", "IPD"} <= {one.what for one in found.not_measured}
    assert found.pictures == 2


def test_records_rows_plots_and_pictures_are_there(found: Comparison, out: Path) -> None:
    records = json.loads((out / "compare.json").read_text())
    assert len(records["gains"]) == len(found.gains)
    assert records["command"].startswith("sidewire compare --feed ")
    assert records["provenance"]["models"].keys() == {"base", "ssa", "none"}
    table = pq.read_table(out / "rows.parquet").to_pylist()
    # base and none at two levels, ssa told three things; a format at as many as lie in the window.
    assert len([row for row in table if row["codec"] in systems()]) == 2 * len(LEVELS) * (1 + 3 + 1)
    assert {row["codec"] for row in table} == set(CODECS)
    for name in ("gains.png", "rd_psnr.png", "rd_judge.png"):
        with Image.open(out / name) as image:
            assert image.width > 800
    for picture in found.shown:
        for place in (picture.file, *(one.file for one in picture.made)):
            assert place is not None
            assert read_picture(out / place).shape == (168, 240, 3)
        exact = {row["bytes"] for row in table if row["id"] == picture.id}
        for one in picture.made:
            assert one.bytes <= picture.budget if one.quality is None else one.bytes in exact


def test_tables_have_a_line_for_everything(found: Comparison) -> None:
    assert len(rates(found).rows) == len(found.rates)
    assert [section.title for section in answers(found.gains)] == [
        "Own caption over none",
        "Wrong caption over none",
        "System over its twin",
        "System over base",
    ]
    console = Console(width=80, file=io.StringIO())
    print_whole(console, [rates(found), *answers(found.gains)])
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "ssa, wrong caption at the decoder" in printed
    assert "…" not in printed
    lines = sum(len(section.rows) for section in by_level(found.gains))
    assert 5 * lines == sum(gain.quality is not None for gain in found.gains)
    saved = saved_bits(found.saved)
    assert saved is not None
    assert 5 * len(saved.rows) == len(found.saved)


@needs_chromium
def test_the_page_shows_every_picture_and_its_bytes(
    found: Comparison, out: Path, browser: Browser
) -> None:
    for width in (390, 1400):
        page = browser.new_page(viewport={"width": width, "height": 900})
        watched = Watched(page)
        page.goto((out / "index.html").as_uri())
        text = page.locator("body").inner_text()
        assert HOSTILE in text
        for picture in found.shown:
            assert picture.id in text
            for one in picture.made:
                assert f"{one.bytes} bytes" in text
                assert page.locator(f"img[src='{one.file}']").count() == 2
        page.evaluate("[...document.images].forEach(i => (i.loading = 'eager'))")
        page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert page.evaluate("window.pwned") is None
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert watched.said == []
        page.close()


@pytest.mark.usefixtures("toys")
def test_levels_are_chosen_by_rate_and_systems_without_weights_are_named(
    kodak: dict[str, Picture], tmp_path: Path
) -> None:
    picture, feed = kodak["kodim03"][100:164, 200:296], tmp_path / "feed.parquet"
    write_pictures(feed, {"hats": picture})
    levels, missing = choose(Request(feed, tmp_path))
    assert {"base", "ssa", "none", "baseline/webp"} <= set(levels)
    assert [one.what for one in missing] == ["toy", "toy-none"]
    for name in ("base", "ssa"):
        codec = get_codec(name)
        for level in codec.qualities:
            rate = codec.encode(picture, level).bits_per_pixel
            assert (level in levels[name]) == (WINDOW[0] <= rate <= WINDOW[1])


def test_bad_requests_are_refused_before_any_work(feed: Path, tmp_path: Path) -> None:
    silent = Progress(disable=True)
    wordless = tmp_path / "wordless.parquet"
    rows = [{"id": row.id, "image": row.image, "captions": []} for row in read_feed(feed)]
    schema = pa.schema(
        [("id", pa.string()), ("image", pa.binary()), ("captions", pa.list_(pa.string()))]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), wordless)
    with pytest.raises(SidewireError, match="no picture has a caption"):
        compare(Request(wordless, tmp_path / "o"), silent)
    with pytest.raises(UnknownCodecError, match="no codec 'gif'"):
        compare(Request(feed, tmp_path / "o", ("gif",)), silent)
    with pytest.raises(QualityError, match="none of the qualities"):
        compare(Request(feed, tmp_path / "o", ("base",), (99,)), silent)
    assert not any((tmp_path / "o").glob("*"))
