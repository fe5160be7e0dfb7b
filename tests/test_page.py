"""The page in a real browser: posts appear and refine, and controls change the running senders."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cluster.demo.senders import PREVIEW_BYTES
from cluster.trials.processes import command
from shared.bitstream.container import Container
from tests.browser import PATIENCE_MS, Watched, browser, needs_chromium
from tests.demo_feed import HOSTILE, write_demo_feed
from tests.patience import PATIENCE

__all__ = ["browser"]

pytestmark = needs_chromium

#: Names of the wire's dispositions, which are not for people.
ENUMS = re.compile(r"DECODED|JOINED|REFINED|REJECTED|EXPIRED")


class Demo:
    """A demo that replays its feed for ever.

    Args:
        log: file of what it says on standard error.
    """

    def __init__(self, log: Path, *words: object) -> None:
        self._log = log
        command_line = command("demo", "--decoder", "processes", "--caption-delay", 1, *words)
        with log.open("w") as said:
            self._process = subprocess.Popen(
                command_line, stdout=subprocess.PIPE, stderr=said, text=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert "http://127.0.0.1:" in line, (line, log.read_text())
        self.address = next(word for word in line.split() if word.startswith("http"))

    def close(self) -> None:
        """Stop it with SIGTERM, if that was not done before."""
        self._process.terminate()
        assert self._process.wait(PATIENCE) == 0, self._log.read_text()


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small feed."""
    return write_demo_feed(tmp_path_factory.mktemp("feed") / "feed.parquet")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, feed: Path) -> Iterator[Demo]:
    """A demo of the small feed, which all tests look at; the last of them ends it."""
    with closing(Demo(tmp_path_factory.mktemp("live") / "log", "--feed", feed)) as demo:
        yield demo


@pytest.fixture
def address(demo: Demo) -> str:
    """The address of that demo's page."""
    return demo.address


@pytest.fixture
def live(browser: Browser, address: str) -> Iterator[Watched]:
    """The page, opened anew; whatever a test does, the page complains of nothing and stays at home."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    watched = Watched(page)
    page.goto(address)
    yield watched
    page.close()
    assert watched.said == []
    assert watched.asked
    assert all(url.startswith(address) for url in watched.asked)


def move(page: Page, name: str, value: float) -> None:
    """Move a control as a hand would, and wait until the server has taken it."""
    with page.expect_response("**/controls") as answer:
        page.locator(f"#{name}").fill(str(value))
    assert answer.value.ok
    assert answer.value.json()[name] == value


def newest(page: Page) -> int:
    """Number of the newest post."""
    return max(
        int(id.rpartition("-")[2])
        for id in page.locator("article").evaluate_all("all => all.map(one => one.id)")
    )


def later_post(page: Page, after: int, state: str) -> str:
    """Wait for a post beyond a number that looks so; its selector."""
    handle = page.wait_for_function(
        """([after, state]) => [...document.querySelectorAll("article")].find((one) =>
            Number(one.id.split("-")[1]) > after && one.querySelector(state))?.id""",
        arg=[after, state],
    )
    return f"#{handle.json_value()}"


def refined_post(page: Page) -> Locator:
    """A post that has its caption, the newest at this moment, by its own name."""
    page.locator("article[data-state=refined]").first.wait_for()
    id = page.locator("article[data-state=refined]").first.get_attribute("id")
    return page.locator(f"#{id}")


def look(post: Locator, name: str) -> None:
    """Choose what its picture is held against."""
    post.locator(".views").get_by_role("button", name=name, exact=True).click()


def until_left_is(post: Locator, file: str) -> None:
    """Wait until a picture of this folder or name lies on the left, whole."""
    expect(post.locator(".under")).to_have_attribute("src", re.compile(file))
    post.locator(".under").evaluate("one => one.decode()")
    assert post.locator(".under").evaluate("one => one.naturalWidth") == 288


def test_a_post_comes_in_three_steps(live: Watched) -> None:
    page = live.page
    post = refined_post(page)
    steps = post.locator(".bars ul").first.locator("li")
    expect(steps).to_have_count(3)
    assert [one.split()[0] for one in steps.all_inner_texts()] == ["Preview", "Picture", "Caption"]
    sizes = [
        int(one.split()[0].replace(",", ""))
        for one in post.locator(".bars ul").first.locator(".bar-count").all_inner_texts()
    ]
    assert sizes[0] <= PREVIEW_BYTES < sizes[1]
    words = post.locator(".words").inner_text()
    assert words
    assert post.locator(".under").get_attribute("alt") == words
    expect(post.locator(".tag.right")).to_contain_text("with words")
    look(post, "Preview")
    until_left_is(post, "previews/")
    look(post, "Without words")
    expect(post.locator(".tag.left")).to_have_text("without words")
    until_left_is(post, "pictures/.*r0")
    look(post, "Preview + caption")
    until_left_is(post, "preview.png")
    expect(page.locator("#count-lost")).to_have_text("0")
    expect(page.locator("#count-duplicated")).to_have_text("0")
    expect(page.locator("#phase")).to_have_text("live")
    expect(page.locator("#psnr-refined")).to_contain_text("dB")
    expect(page.locator("#real-rate")).to_contain_text("asked for")
    assert not ENUMS.search(page.inner_text("body"))


def test_slider_by_keyboard_and_original(live: Watched) -> None:
    page = live.page
    post = refined_post(page)
    slider = post.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    assert post.locator(".stage").evaluate("one => one.style.getPropertyValue('--cut')") == "0%"
    page.keyboard.press("ArrowRight")
    assert post.locator(".stage").evaluate("one => one.style.getPropertyValue('--cut')") == "1%"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.views') !== null")
    post.locator(".views").get_by_role("button", name="Original").focus()
    page.keyboard.press("Enter")
    expect(post.locator(".tag.left")).to_have_text("original")
    until_left_is(post, "originals/")


def test_formats_of_the_day_in_as_many_bytes_and_what_they_need(live: Watched) -> None:
    page = live.page
    post = refined_post(page)
    look(post, "WebP")
    until_left_is(post, "webp.png")
    expect(post.locator(".tag.left")).to_contain_text("WebP,")
    needs = post.locator(".bars ul").nth(1).locator("li")
    expect(needs).to_have_count(3)
    expect(post.locator(".bars")).not_to_contain_text("searching")
    assert [one.split()[0] for one in needs.all_inner_texts()] == ["JPEG", "WebP", "AVIF"]


def test_the_legend_tells_what_the_text_encoder_could_not_read(live: Watched) -> None:
    legend = """(caption_note) => sidewire.Sent.prototype.legend.call(
        { map: "masks", post: { overlays: { bits_most: 1, masks: ["mask"], trust: 0.5, caption_note } } })"""
    note = "its language is de, which the text encoder was not trained on"
    assert live.page.evaluate(legend, note).endswith(f"50 %. Of the caption: {note}.")
    assert live.page.evaluate(legend, "").endswith("50 %.")


def test_what_was_sent(live: Watched) -> None:
    page = live.page
    post = refined_post(page)
    post.get_by_text("What was sent").click()
    packets = post.locator(".packet")
    assert packets.locator("h3").all_inner_texts() == ["Preview", "Picture", "Caption"]
    expect(packets.nth(0)).to_contain_text("stream demo.previews")
    expect(packets.nth(2)).to_contain_text("channel of captions, stream demo")
    with page.expect_download() as download:
        packets.nth(1).get_by_role("link").click()
    header = Container.from_bytes(download.value.path().read_bytes()).header
    assert (header.width, header.height) == (288, 192)
    for button, file in (("Bits", "bits"), ("Word mask", "mask0")):
        post.get_by_role("button", name=button).click()
        page.wait_for_function(
            """([id, file]) => { const map = document.querySelector(`#${id} .overlay`);
                return !map.hidden && map.src.includes(file) && map.naturalWidth === 288; }""",
            arg=[post.get_attribute("id"), file],
        )
        expect(post.locator(".note")).to_be_visible()
    post.get_by_role("button", name="fine").click()
    expect(post.locator(".overlay")).to_have_attribute("src", re.compile("mask2"))
    post.get_by_role("button", name="Word mask").click()
    expect(post.locator(".overlay")).to_be_hidden()


def test_the_feed_holds_still_while_somebody_reads(live: Watched) -> None:
    page = live.page
    post = refined_post(page)
    post.get_by_text("What was sent").click()
    before = page.locator("article").first.get_attribute("id")
    newer = page.locator("#newer")
    expect(newer).to_be_visible()
    expect(newer).to_have_text(re.compile(r"^\d+ new posts?$"))
    assert page.locator("article").first.get_attribute("id") == before
    newer.click()
    expect(newer).to_be_hidden()
    assert page.locator("article").first.get_attribute("id") != before
    assert post.locator("details").get_attribute("open") is None
    assert page.evaluate("scrollY") == 0
    page.evaluate("scrollTo(0, 900)")
    assert page.evaluate("scrollY") > 300
    expect(newer).to_be_visible()


def test_controls_change_what_the_senders_do(live: Watched) -> None:
    page = live.page
    page.locator("article").first.wait_for()
    move(page, "rate", 1)
    move(page, "caption_delay", 20)
    held = later_post(page, newest(page) + 3, ".badge.coming")
    expect(page.locator(held)).to_have_attribute("data-state", re.compile("first|preview"))
    move(page, "caption_delay", 0)  # what waits leaves at once
    expect(page.locator(held)).to_have_attribute("data-state", "refined")
    move(page, "mismatch", 1)
    other = later_post(page, newest(page), ".badge.other")
    expect(page.locator(other).locator(".badge")).to_have_text("wrong caption")
    move(page, "loss", 1)
    lost = page.locator(".badge", has_text="caption lost").first
    expect(lost).to_be_visible()
    move(page, "mismatch", 0)
    move(page, "loss", 0)
    move(page, "rate", 0.5)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#phase")).to_have_text("paused")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#phase")).to_have_text("live")
    expect(page.locator("#count-lost")).to_have_text("0")


def test_a_bad_picture_is_a_post_and_hostile_words_are_words(live: Watched) -> None:
    page = live.page
    failed = page.locator("article[data-state=failed]").first
    expect(failed.locator(".failure")).to_contain_text("not a picture")
    hostile = page.locator(".words", has_text="window.pwned").first
    expect(hostile).to_have_text(HOSTILE)
    assert page.evaluate("window.pwned") is None
    assert page.locator("article img[src=x]").count() == 0


def test_narrow_and_dark(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto(address)
    post = page.locator("article[data-state=refined]").first
    post.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    light = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert max(light) < 60
    # A whole picture is in the first screen, and its title is not cut off.
    bottom = page.evaluate("document.querySelector('.stage').getBoundingClientRect().bottom")
    assert bottom <= 844
    title = page.locator("article h2").first
    assert title.evaluate("one => one.scrollWidth <= one.clientWidth")
    assert not page.locator("#controls").is_visible()  # folded away, a tap from here
    page.locator("#desk > summary").click()
    assert page.locator("#controls").is_visible()
    page.close()


def _ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def test_what_the_server_refuses(address: str) -> None:
    status, headers, _ = _ask(address)
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert _ask(address, Host="evil.example")[0] == 400
    # Each page leads to the other.
    assert 'href="upload"' in _ask(address)[2]
    assert 'href="."' in _ask(address + "upload")[2]
    good = {"rate": 1.0, "caption_delay": 1.0, "loss": 0.0, "mismatch": 0.0, "paused": False}
    json_type = {"Content-Type": "application/json"}
    body = json.dumps(good | {"loss": 3}).encode()
    status, _, said = _ask(address + "controls", body, **json_type)
    assert status == 422
    assert "loss is 3" in json.loads(said)["problem"]
    assert _ask(address + "controls", b"{", **json_type)[0] == 422
    status, _, said = _ask(address + "controls", body.ljust(1 << 13), **json_type)
    assert status == 413
    assert (
        json.loads(said)["problem"]
        == "the size of the controls in bytes is 8192, must be at most 4096"
    )
    form = {"Content-Type": "text/plain"}  # what a form of another site could send
    assert _ask(address + "controls", json.dumps(good).encode(), **form)[0] == 415
    assert _ask(address + "posts/999999/overlays", b"")[0] == 404
    assert _ask(address + "pictures/../../receiver/ledger.sqlite")[0] == 404


def test_controls_are_dead_while_nobody_answers(
    browser: Browser, demo: Demo, feed: Path, tmp_path: Path
) -> None:
    """The demo ends, another begins on the same port: the page stays open, and shows the new one's posts."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(demo.address)
    seen = page.locator(later_post(page, 2, ".stage"))
    expect(page.locator("#rate")).to_be_enabled()
    demo.close()
    expect(page.locator("#away")).to_be_visible()
    expect(page.locator("#phase")).to_have_text("no connection")
    for control in ("#rate", "#paused"):
        expect(page.locator(control)).to_be_disabled()
    expect(seen).to_be_visible()  # what has come can still be read
    # The twin's decoders read no words, so they are there sooner.
    words = ("--feed", feed, "--codec", "none", "--rate", 0.1)
    with closing(Demo(tmp_path / "log", *words, "--port", urlsplit(demo.address).port)):
        expect(page.locator("#away")).to_be_hidden()
        expect(page.locator("#rate")).to_be_enabled()
        expect(seen).to_have_count(0)
    page.close()
