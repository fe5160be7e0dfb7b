"""The page in a real browser: posts appear and refine, and controls change the running senders."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from cluster.trials.processes import command
from tests.browser import PATIENCE_MS, Watched, browser, needs_chromium
from tests.demo_feed import HOSTILE, write_demo_feed

__all__ = ["browser"]

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo that replays the small feed for ever; stopped with SIGTERM."""
    folder = tmp_path_factory.mktemp("live")
    feed = write_demo_feed(folder / "feed.parquet")
    words = ("demo", "--feed", feed, "--decoder", "processes", "--caption-delay", 1)
    with (folder / "log").open("w") as log:
        program = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=log, text=True)
    assert program.stdout is not None
    line = program.stdout.readline()
    assert "http://127.0.0.1:" in line, (line, (folder / "log").read_text())
    yield next(word for word in line.split() if word.startswith("http"))
    program.terminate()
    assert program.wait(120) == 0, (folder / "log").read_text()


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
    """Wait for a post beyond a number that looks so, and was encoded from a picture that is none of the
    broken ones; its selector."""
    handle = page.wait_for_function(
        """([after, state]) => [...document.querySelectorAll("article")].find((one) =>
            Number(one.id.split("-")[2]) > after && one.querySelector(state))?.id""",
        arg=[after, state],
    )
    return f"#{handle.json_value()}"


def test_posts_appear_and_are_refined(live: Watched) -> None:
    page = live.page
    post = page.locator("article[data-state=refined]").first
    expect(post).to_be_visible(timeout=PATIENCE_MS)
    expect(post.locator(".tag.left")).to_have_text("without words")
    expect(post.locator(".tag.right")).to_have_text("with words")
    for side in ("under", "over"):
        page.wait_for_function(
            "(side) => document.querySelector(`article[data-state=refined] .${side}`).naturalWidth === 288",
            arg=side,
        )
    words = post.locator(".words").inner_text()
    assert words
    assert post.locator(".under").get_attribute("alt") == words
    assert "bpp" in post.locator(".facts").inner_text()
    expect(post.locator(".chips")).to_contain_text("DECODED_TEXT_LATE")
    expect(page.locator("#count-lost")).to_have_text("0")
    expect(page.locator("#count-duplicated")).to_have_text("0")
    expect(page.locator("#phase")).to_have_text("live")
    expect(page.locator("#psnr-refined")).to_contain_text("dB", timeout=PATIENCE_MS)


def test_slider_by_keyboard_and_original(live: Watched) -> None:
    page = live.page
    page.locator("article[data-state=refined]").first.wait_for()
    id = page.locator("article[data-state=refined]").last.get_attribute("id")
    post = page.locator(f"#{id}")
    slider = post.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    assert post.locator(".stage").evaluate("one => one.style.getPropertyValue('--cut')") == "0%"
    page.keyboard.press("ArrowRight")
    assert post.locator(".stage").evaluate("one => one.style.getPropertyValue('--cut')") == "1%"
    post.get_by_role("button", name="Original").click()
    expect(post.locator(".tag.left")).to_have_text("original")
    page.wait_for_function(
        "(id) => document.querySelector(`#${id} .under`).naturalWidth === 288", arg=id
    )


def test_the_legend_tells_what_the_text_encoder_could_not_read(live: Watched) -> None:
    legend = """(caption_note) => sidewire.Card.prototype.legend.call(
        { map: "masks", post: { overlays: { bits_most: 1, masks: ["mask"], trust: 0.5, caption_note } } })"""
    note = "its language is de, which the text encoder was not trained on"
    assert live.page.evaluate(legend, note).endswith(f"50 %. Of the caption: {note}.")
    assert live.page.evaluate(legend, "").endswith("50 %.")


def test_overlays_open_on_demand(live: Watched) -> None:
    page = live.page
    page.locator("article[data-state=refined]").first.wait_for()
    id = page.locator("article[data-state=refined]").first.get_attribute("id")
    post = page.locator(f"#{id}")
    for button, file in (("Bits", "bits"), ("Word mask", "mask0")):
        post.get_by_role("button", name=button).click()
        page.wait_for_function(
            """([id, file]) => { const map = document.querySelector(`#${id} .overlay`);
                return !map.hidden && map.src.includes(file) && map.naturalWidth === 288; }""",
            arg=[id, file],
        )
        expect(post.locator(".note")).to_be_visible()
    post.get_by_role("button", name="fine").click()
    page.wait_for_function(
        "(id) => document.querySelector(`#${id} .overlay`).src.includes('mask2')", arg=id
    )
    post.get_by_role("button", name="Word mask").click()
    expect(post.locator(".overlay")).to_be_hidden()


def test_controls_change_what_the_senders_do(live: Watched) -> None:
    page = live.page
    page.locator("article").first.wait_for()
    move(page, "rate", 2)
    move(page, "caption_delay", 20)
    held = later_post(page, newest(page) + 3, ".badge.coming")
    expect(page.locator(held)).to_have_attribute("data-state", "first")
    move(page, "caption_delay", 0)  # what waits leaves at once
    expect(page.locator(held)).to_have_attribute("data-state", "refined", timeout=PATIENCE_MS)
    move(page, "mismatch", 1)
    other = later_post(page, newest(page), ".badge.other")
    expect(page.locator(other).locator(".badge")).to_have_text("another's words")
    move(page, "loss", 1)
    lost = page.locator(".badge", has_text="words lost").first
    expect(lost).to_be_visible(timeout=PATIENCE_MS)
    move(page, "mismatch", 0)
    move(page, "loss", 0)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#phase")).to_have_text("paused", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#phase")).to_have_text("live", timeout=PATIENCE_MS)
    expect(page.locator("#count-lost")).to_have_text("0")


def test_a_bad_picture_is_a_post_and_hostile_words_are_words(live: Watched) -> None:
    page = live.page
    failed = page.locator("article[data-state=failed]").first
    expect(failed.locator(".failure")).to_contain_text("not a picture", timeout=PATIENCE_MS)
    hostile = page.locator(".words", has_text="window.pwned").first
    expect(hostile).to_have_text(HOSTILE, timeout=PATIENCE_MS)
    assert page.evaluate("window.pwned") is None
    assert page.locator("article img[src=x]").count() == 0


def test_narrow_and_dark(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme="dark")
    page.goto(address)
    page.locator("article[data-state=refined]").first.wait_for(timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    light = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert max(light) < 60
    assert not page.locator("#controls").is_visible()  # folded away, a tap from here
    page.locator("#controls-card summary").click()
    assert page.locator("#controls").is_visible()
    page.close()


def _ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def test_what_the_server_refuses(address: str) -> None:
    status, headers, _ = _ask(address)
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert _ask(address, Host="evil.example")[0] == 400
    good = {"rate": 1.0, "caption_delay": 1.0, "loss": 0.0, "mismatch": 0.0, "paused": False}
    json_type = {"Content-Type": "application/json"}
    body = json.dumps(good | {"loss": 3}).encode()
    status, _, said = _ask(address + "controls", body, **json_type)
    assert status == 422
    assert "loss is 3" in json.loads(said)["problem"]
    assert _ask(address + "controls", b"{", **json_type)[0] == 422
    form = {"Content-Type": "text/plain"}  # what a form of another site could send
    assert _ask(address + "controls", json.dumps(good).encode(), **form)[0] == 415
    assert _ask(address + "posts/9-999/overlays", b"")[0] == 404
    assert _ask(address + "pictures/../../receiver/ledger.sqlite")[0] == 404
