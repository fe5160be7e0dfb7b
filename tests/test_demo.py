"""The demo without a browser: what it replays, what it says of it, and the report it leaves."""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from cluster.demo.items import Item, feed_items
from cluster.demo.newsroom import choose_words
from cluster.demo.senders import PREVIEW_BYTES
from cluster.trials.processes import command
from receiver.viewer.desk import Controls
from receiver.viewer.overlays import overlay_png
from receiver.viewer.pace import Pace
from receiver.viewer.page import render_page
from receiver.viewer.posts import Origin, Post
from receiver.viewer.timeline import Timeline
from receiver.work import Caption, End, Frame, Key
from shared.bitstream.container import Container
from shared.metrics import psnr
from shared.pictures import Picture, read_picture
from shared.wire.v1.types_pb2 import (
    DISPOSITION_DECODED_NO_TEXT,
    DISPOSITION_DECODED_TEXT_LATE,
    DISPOSITION_REJECTED,
)
from tests.browser import Watched, browser, needs_chromium
from tests.codecs import Whole
from tests.commands import sidewire
from tests.demo_feed import HOSTILE, write_demo_feed

__all__ = ["browser"]

#: Names of the wire's dispositions, which are not for people.
ENUMS = re.compile(r"DECODED|JOINED|REFINED|REJECTED|EXPIRED")
#: Kept by its exact names: programs read it.
REPORT_KEYS = {
    "frames_sent",
    "frames_decoded",
    "captions_sent",
    "captions_joined",
    "lost",
    "duplicated",
    "dispositions",
    "bpp_mean",
    "caption_bpp_mean",
    "psnr_mean",
    "ms_ssim_mean",
    "latency_ms",
}


def demo(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        command("demo", "--headless", *words),
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert run.returncode == code, (run.stdout, run.stderr)
    return run


# The whole way


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small feed, decoded on Ray as it is where nothing else is asked for."""
    folder = tmp_path_factory.mktemp("demo")
    feed = write_demo_feed(folder / "feed.parquet")
    run = demo(*("--feed", feed, "--report", folder / "report", "--rate", 5, "--caption-delay", 1))
    assert "index.html" in run.stdout
    assert run.stderr.startswith("starting the receiver, its decoders and the senders\n")
    assert "\x1b" not in run.stderr  # a pipe gets plain lines
    return folder / "report"


def test_every_picture_ends_once_and_every_caption_is_joined(report: Path) -> None:
    found = json.loads((report / "report.json").read_text())
    assert set(found) == REPORT_KEYS
    assert found["frames_sent"] == 5
    assert found["frames_decoded"] == 4
    assert found["captions_sent"] == 5
    assert found["captions_joined"] == 4
    assert (found["lost"], found["duplicated"]) == (0, 0)
    ends = found["dispositions"]
    assert ends["DECODED_NO_TEXT"] == ends["DECODED_TEXT_LATE"] == 4
    # The broken picture, and its caption: REJECTED with it, or later EXPIRED, as nothing is left to refine.
    assert (ends["REJECTED"], ends.get("EXPIRED", 0)) in {(1, 1), (2, 0)}
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]


def test_figures_are_those_of_the_files(report: Path) -> None:
    """Rates from the streams' own bytes, quality from the pictures that lie beside the page."""
    found = json.loads((report / "report.json").read_text())
    rates, qualities = [], []
    previews = sorted((report / "streams").glob("*.preview.swi"))
    assert len(previews) == 4
    assert all(path.stat().st_size <= PREVIEW_BYTES for path in previews)
    for path in sorted(set((report / "streams").glob("*.swi")) - set(previews)):
        blob = path.read_bytes()
        header = Container.from_bytes(blob).header
        rates.append(8 * len(blob) / (header.width * header.height))
        shown = read_picture(report / "pictures" / f"{path.stem}.r1.png")
        assert shown.shape == (header.height, header.width, 3)
        (original,) = (report / "originals").glob(f"{path.stem.partition('-')[2]}.*")
        qualities.append(psnr(read_picture(original), shown))
    assert len(rates) == 4
    assert found["bpp_mean"] == pytest.approx(np.mean(rates))
    assert found["psnr_mean"] == pytest.approx(np.mean(qualities))
    assert 0 < found["caption_bpp_mean"] < found["bpp_mean"]
    assert 0 < found["ms_ssim_mean"] < 1


def test_the_broken_picture_is_a_post_and_nothing_is_fetched(report: Path) -> None:
    page = (report / "index.html").read_text()
    assert "not a picture in any known format" in page
    assert HOSTILE not in page
    assert "http" not in page
    assert not (report / ".staging").exists()


@needs_chromium
def test_the_report_opens_from_disk(browser: Browser, report: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    watched = Watched(page)
    page.goto((report / "index.html").as_uri())
    assert page.locator("article").count() == 5
    assert page.locator("article[data-state=refined]").count() == 4
    for image in page.locator("article .stage img:not(.overlay)").all():
        image.evaluate("one => one.decode()")
    expect(page.locator("#count-sent")).to_have_text("5")
    expect(page.locator("#count-lost")).to_have_text("0")
    expect(page.locator("#count-previews")).to_have_text("4")
    expect(page.locator("#phase")).to_have_text("report")
    post = page.locator("article[data-state=refined]").first
    assert "AVIF" in post.locator(".bars").inner_text()
    for name in ("JPEG", "Preview + caption"):
        post.get_by_role("button", name=name, exact=True).click()
        post.locator(".under").evaluate("one => one.decode()")
    assert not ENUMS.search(page.inner_text("body"))
    post.get_by_text("What was sent").click()
    assert post.locator(".packet h3").all_inner_texts() == ["Preview", "Picture", "Caption"]
    saved = [one.get_attribute("href") for one in post.locator(".packet a").all()]
    assert all((report / str(file)).is_file() for file in saved)
    post.get_by_role("button", name="Bits").click()
    post.locator(".overlay").evaluate("one => one.decode()")
    post.get_by_role("button", name="Word mask").click()
    post.get_by_role("button", name="fine").click()
    post.locator(".overlay").evaluate("one => one.decode()")
    post.get_by_role("slider").fill("10")
    assert post.locator(".stage").evaluate("one => one.style.getPropertyValue('--cut')") == "10%"
    assert page.evaluate("window.pwned") is None
    page.close()
    assert watched.said == []
    assert all(url.startswith(report.as_uri()) for url in watched.asked)


def test_shipped_feed_with_captions_that_are_lost() -> None:
    """And previews beside a stream that no decoder of theirs opens."""
    plain = ("--decoder", "processes", "--codec", "misc")
    found = json.loads(demo("--limit", 1, "--loss", 1, "--json", *plain).stdout)
    assert set(found) == REPORT_KEYS
    assert (found["frames_sent"], found["frames_decoded"], found["lost"]) == (1, 1, 0)
    assert (found["captions_sent"], found["captions_joined"]) == (0, 0)
    assert found["dispositions"] == {"DECODED_NO_TEXT": 1}
    assert found["caption_bpp_mean"] is None


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--feed", "{tmp}/none.parquet"], 1, "no feed at"),
        (["--codec", "bsae", "--decoder", "processes"], 2, "no codec 'bsae'"),
        (["--rate", 0], 2, "rate is 0.0 (flag), must be"),
        (["--loss", 2], 2, "loss is 2.0 (flag), must be"),
    ],
)
def test_bad_input_is_one_line(
    words: list[object], code: int, message: str, tmp_path: Path
) -> None:
    given = [str(word).format(tmp=tmp_path) for word in words]
    run = sidewire("demo", "--headless", *given, code=code)
    assert message in run.stderr
    assert run.stderr.startswith("sidewire: ")


def test_a_report_that_cannot_be_written_is_one_line() -> None:
    run = demo("--limit", 1, "--report", "/proc/none", code=1)
    assert "cannot write a report" in run.stderr
    assert run.stderr.startswith("sidewire: ")


def test_the_viewer_keeps_torch_out_of_the_gateway() -> None:
    code = (
        "import sys, cluster.demo, receiver.viewer.app, receiver.viewer.lab, receiver.viewer.upload.serve;"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# Its parts


def _item(name: str) -> Item:
    return Item(name, b"", f"the words of {name}", "")


def test_what_captions_meet() -> None:
    others = deque([_item("b"), _item("c")])

    def fates(**controls: float) -> Counter[str]:
        chance = random.Random(1)
        drawn = (
            choose_words(_item("a"), others, Controls(**controls), chance) for _ in range(1000)
        )
        return Counter(f"{words}|{fate}" for words, fate in drawn)

    assert fates() == {"the words of a|own": 1000}
    assert fates(loss=1.0) == {"|lost": 1000}
    mixed = fates(mismatch=1.0)
    assert set(mixed) == {"the words of b|other", "the words of c|other"}
    some = fates(loss=0.2, mismatch=0.5)
    assert 150 < some["|lost"] < 250
    assert 330 < some["the words of a|own"] < 470
    none = choose_words(Item("x", b"", "", ""), others, Controls(), random.Random(1))
    assert none == ("", "none")


def test_shipped_items_rotate_their_captions() -> None:
    first, second = (list(feed_items(None, None, which)) for which in (0, 1))
    assert len(first) == 17
    assert [item.name for item in first] == [item.name for item in second]
    assert first[0].caption == second[0].caption  # news pictures have one
    assert first[-1].caption != second[-1].caption
    assert all(item.source for item in first)


def _end(
    blob: bytes,
    seq: int,
    caption: str | None = None,
    disposition: int | None = None,
    stream: str = "demo",
) -> End:
    key = Key(stream, 1, seq)
    frame = Frame(key, b"", "photo", blob, expects_caption=True)
    words = Caption(key, b"", 1, caption, "", 0.0) if caption else None
    made = DISPOSITION_DECODED_TEXT_LATE if caption else DISPOSITION_DECODED_NO_TEXT
    return End(
        key,
        1 if caption else 0,
        disposition or made,
        frame_ended=caption is None,
        caption_ended=caption is not None,
        frame=frame,
        caption=words,
        reason="of no use" if disposition else "",
    )


@pytest.fixture(scope="module")
def blob(golden_codec: Whole, kodak: dict[str, Picture]) -> bytes:
    return golden_codec.encode(kodak["kodim03"][:64, :96], 1).blob


async def _timeline(blob: bytes) -> None:
    gone: list[str] = []
    now = 100.0
    origin = Origin("photo", "NASA", "originals/0.png", 99.0, "own", caption_sent_at=99.5)
    timeline = Timeline(2, lambda _: origin, lambda post: gone.append(post.id), lambda: now)
    timeline.ended(_end(blob, 0))
    (post,) = timeline.since(0)
    assert post.first is not None
    assert post.refined is None
    assert (post.first.after_ms, post.first.picture) == (1000.0, "pictures/1-0.r0.png")
    assert (post.width, post.height, post.picture_bytes) == (96, 64, len(blob))
    seen = timeline.version
    assert timeline.since(seen) == []
    timeline.ended(_end(blob, 0, "Caps."))
    assert await timeline.news(seen) > seen
    (post,) = timeline.since(seen)
    assert post.refined is not None
    assert (post.refined.after_ms, post.caption, post.caption_bytes) == (500.0, "Caps.", 5)
    assert post.dispositions == ("DECODED_NO_TEXT", "DECODED_TEXT_LATE")
    timeline.ended(_end(blob, 1, disposition=DISPOSITION_REJECTED))
    failed = timeline.posts[-1]
    assert (failed.reason, failed.final) == ("of no use", None)
    timeline.ended(_end(blob, 2))
    assert gone == ["0"]
    assert timeline.container("0") is None
    assert timeline.container("2") == timeline.stream("streams/1-2.swi") == blob
    timeline.ended(_end(blob, 0, "Caps."))  # its post has gone
    assert [post.id for post in timeline.posts] == ["1", "2"]


def test_timeline(blob: bytes) -> None:
    # A thread of its own: the browser's driver keeps a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _timeline(blob)).result()


async def _previews(blob: bytes) -> None:
    now = 100.0
    origin = Origin("photo", "NASA", "originals/0.png", 99.0, "own", picture_bytes=5000)
    timeline = Timeline(2, lambda _: origin, now=lambda: now)
    timeline.ended(_end(blob, 0, stream="demo.previews"))
    (post,) = timeline.posts
    assert post.preview is not None
    assert (post.final, post.preview_bytes, post.original_bytes) == (None, len(blob), 5000)
    assert (post.preview.picture, post.width) == ("previews/1-0.r0.png", 96)
    timeline.ended(_end(blob, 0))
    timeline.ended(_end(blob, 0, "Caps."))
    (post,) = timeline.posts
    assert [one.what for one in post.sent] == ["preview", "picture", "caption"]
    assert [one.bytes for one in post.sent] == [len(blob), len(blob), 5]
    assert [one.file for one in post.sent] == ["streams/1-0.preview.swi", "streams/1-0.swi", ""]
    assert post.final is not None
    assert post.final.picture == "pictures/1-0.r1.png"
    timeline.ended(_end(b"", 1, disposition=DISPOSITION_REJECTED, stream="demo.previews"))
    assert len(timeline.posts) == 1  # the picture itself will say what is wrong
    for seq in (1, 2):
        timeline.ended(_end(blob, seq))
    timeline.ended(_end(blob, 0, stream="demo.previews"))  # its post has gone
    assert [post.id for post in timeline.posts] == ["1", "2"]


def test_a_preview_begins_its_picture_s_post(blob: bytes) -> None:
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _previews(blob)).result()


def test_the_real_pace_is_that_of_the_last_seconds() -> None:
    pace = Pace()
    assert pace.rate(0.0) is None
    for second in range(100):
        pace.note(2 * second, float(second))
    assert pace.rate(99.0) == pytest.approx(2.0, rel=0.1)
    assert (pace.rate(139.0) or 0.0) < 1.0


def test_overlay_covers_the_picture(tmp_path: Path) -> None:
    values = np.zeros((3, 4), np.float32)
    values[1, 2] = 8.0
    path = tmp_path / "map.png"
    path.write_bytes(overlay_png(values, 50, 40, 8.0))
    with Image.open(path) as image:
        assert image.size == (50, 40)
        pixels = np.asarray(image).astype(int).sum(axis=2)
    assert (pixels[16:32, 32:48] > 600).all()
    assert (pixels[:16] < 100).all()
    assert pixels[32:, 48:].max() < 100


def test_text_in_a_page_stays_text() -> None:
    post = Post("1-0", 0, HOSTILE, 0.0, caption=HOSTILE)
    page = render_page("report", {"posts": [{"caption": post.caption}]})
    assert "<img src=x" not in page
    block = page.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(block)["posts"][0]["caption"] == HOSTILE
