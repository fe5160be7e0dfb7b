"""Previews beside each other: what fits, what it is worth, and a page that opens from disk."""

from __future__ import annotations

import io
import json
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cluster.evaluation.bootstrap import Interval
from cluster.previews.contenders import Shown, contenders, of_codec, of_previews
from cluster.previews.table import means
from cluster.previews.trial import TrialRow, tried
from cluster.reproduce import previews
from cluster.reproduce.evidence import Request
from cluster.reproduce.run import reproduce_command
from cluster.reproduce.sheet import SheetError
from shared.codecs import get_codec
from shared.errors import SidewireError
from shared.pictures import Picture

FLICKR8K = Path("val/flickr8k-224.parquet")
EVERYBODY = ("base", "blurhash", "thumbhash", "webp-copy", "avif-copy")


def waves(height: int, width: int, seed: int) -> Picture:
    y, x = np.mgrid[:height, :width]
    slow = np.stack([np.sin(x / 19 + seed), np.sin(y / 15), np.sin((x + y) / 24)], axis=2)
    pixels: Picture = (128 + 90 * slow).astype(np.uint8)
    return pixels


def png(picture: Picture) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def grey(picture: Picture, limit: int) -> Shown:
    """A contender that always fits and says nothing."""
    return Shown(min(limit, 1), np.full_like(picture, 128))


def test_everybody_is_there() -> None:
    assert tuple(contenders()) == EVERYBODY


@given(st.integers(1, 300))
def test_a_codec_shows_the_finest_level_that_fits(limit: int) -> None:
    codec, picture = get_codec("baseline/blurhash"), waves(30, 40, 0)
    sizes = [codec.encode(picture, level).counted for level in codec.qualities]
    shown = of_codec(codec)(picture, limit)
    fitting = [size for size in sizes if size <= limit]
    assert (shown.bytes if shown else None) == max(fitting, default=None)
    assert shown is None or shown.picture.shape == picture.shape


def test_a_preview_counts_whole_and_may_not_fit() -> None:
    def made(picture: Picture, limit: int) -> bytes:
        if limit < 10:
            raise SidewireError("nothing fits")
        return bytes(10)

    picture = waves(5, 6, 0)
    show = of_previews(made, lambda _: picture)
    assert show(picture, 9) is None
    shown = show(picture, 28)
    assert shown is not None
    assert shown.bytes == 10


def test_a_trial_has_a_row_for_each_budget_and_contender() -> None:
    everybody = {"grey": grey, "none": lambda picture, limit: None}
    trial = tried("x", waves(8, 8, 0), everybody, (10, 20))
    assert [(row.budget, row.contender, row.bytes) for row in trial.rows] == [
        (10, "grey", 1),
        (10, "none", None),
        (20, "grey", 1),
        (20, "none", None),
    ]
    assert [found is not None for found in trial.shown] == [True, False, True, False]


def test_means_are_over_the_pictures_that_fit() -> None:
    rows = [
        TrialRow("a", 50, "one", 40, 20.0),
        TrialRow("b", 50, "one", None, None),
        TrialRow("c", 50, "one", 50, 22.0),
        TrialRow("a", 50, "other", None, None),
        TrialRow("a", 100, "one", 60, math.inf),
    ]
    first, second, third = means("Feed", rows).rows
    assert (first.name, first.cells[:2]) == ("50, one", (2, 45.0))
    assert isinstance(first.cells[2], Interval)
    assert first.cells[2].value == 21.0
    assert (second.name, second.cells) == ("50, other", (0, None, None))
    assert third.cells[2] == Interval(math.inf, None, None)  # met exactly: no interval
    assert "3 pictures" in means("Feed", rows).title


class Tags(HTMLParser):
    """Counts a page's pictures, and what a browser would ask others for."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = 0
        self.asked: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        source = found.get("src") or found.get("href") or ""
        self.pictures += tag == "img"
        if source and not source.startswith("data:image/webp;base64,"):
            self.asked.append(source)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def feed(folder: Path, images: dict[str, bytes]) -> None:
    (folder / "val").mkdir()
    rows = [{"id": name, "image": data} for name, data in images.items()]
    pq.write_table(pa.Table.from_pylist(rows), folder / FLICKR8K)


def request(data: Path, limit: int | None = None) -> Request:
    return Request("previews", data, data / "out", data, data, limit=limit)


def test_page_and_tables_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = {
        "<wide>": png(waves(48, 64, 1)),
        "broken": b"no picture",
        "high": png(waves(70, 40, 2)),
    }
    feed(tmp_path, images)
    reproduce_command(request(tmp_path))
    out = tmp_path / "out"

    rows = pq.read_table(out / "previews-flickr8k.parquet").to_pylist()
    assert len(rows) == 2 * len(previews.BUDGETS) * len(EVERYBODY)
    assert all(row["bytes"] is None or row["bytes"] <= row["budget"] for row in rows)
    assert all((row["bytes"] is None) == (row["psnr"] is None) for row in rows)
    fitting = {(row["budget"], row["contender"]) for row in rows if row["bytes"]}
    assert {(28, "blurhash"), (28, "thumbhash"), (100, "webp-copy")} <= fitting
    assert (200, "avif-copy") not in fitting

    (section,) = json.loads((out / "previews.json").read_text())
    assert len(section["rows"]) == len(previews.BUDGETS) * len(EVERYBODY)
    markdown = (out / "previews.md").read_text()
    assert "### Within a few bytes, Flickr8k (2 pictures)" in markdown
    assert "| 28, blurhash | 2 | 28.0 |" in markdown
    printed = capsys.readouterr()
    assert "| 28, blurhash | 2 | 28.0 |" in printed.out
    assert "picture broken" in printed.err

    tags = Tags()
    tags.feed((out / "previews.html").read_text())
    assert tags.asked == []
    assert tags.pictures == 2 + sum(row["bytes"] is not None for row in rows)
    text = "".join(tags.text)
    assert "<wide>" in text
    assert "blurhash: 28 bytes" in text
    assert "avif-copy: nothing fits" in text


def test_a_limit_of_pictures_is_kept(tmp_path: Path) -> None:
    feed(tmp_path, {str(seed): png(waves(16, 16, seed)) for seed in range(3)})
    reproduce_command(request(tmp_path, limit=2))
    rows = pq.read_table(tmp_path / "out" / "previews-flickr8k.parquet").to_pylist()
    assert {row["id"] for row in rows} == {"0", "1"}


def test_a_feed_without_any_picture_is_refused(tmp_path: Path) -> None:
    feed(tmp_path, {"broken": b"x"})
    with pytest.raises(SheetError, match="no picture could be read"):
        reproduce_command(request(tmp_path))
