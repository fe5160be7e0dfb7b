"""The upload page in a real browser and over HTTP: results are right, and theirs alone who asked for them."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cluster.trials.processes import command
from receiver.viewer.upload.bounds import Bounds
from shared.metrics import psnr
from shared.pictures import Picture, read_picture
from tests.browser import Watched, browser, needs_chromium
from tests.captioner_models import make_blip
from tests.commands import sidewire
from tests.patience import PATIENCE
from tests.picture_files import encoded
from tests.processes import until

__all__ = ["browser"]

HEIGHT, WIDTH = 176, 240
HOSTILE = "..%2f<img src=x onerror='window.pwned=1'>.png"


@pytest.fixture(scope="module")
def photo(kodak: dict[str, Picture]) -> Picture:
    return np.ascontiguousarray(kodak["kodim07"][100 : 100 + HEIGHT, 200 : 200 + WIDTH])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page, with a captioner; stopped with SIGTERM."""
    folder = tmp_path_factory.mktemp("page")
    log = folder / "log"
    words = command("page", "--json", "--captioner", make_blip(folder / "blip"))
    with log.open("w") as said:
        program = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=said, text=True)
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line, log.read_text()
    yield json.loads(line)["page"]
    program.terminate()
    assert program.wait(PATIENCE) == 0, log.read_text()
    assert log.read_text() == ""


@pytest.fixture
def live(browser: Browser, address: str) -> Iterator[Watched]:
    """The page, opened anew; whatever a test does, the page complains of nothing and stays at home."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    watched = Watched(page)
    page.goto(address)
    expect(page.locator("#phase")).to_have_text("ready")
    page.locator("#codec").select_option("base")
    yield watched
    page.close()
    assert watched.said == []
    assert all(url.startswith(address) for url in watched.asked)


def ask(
    url: str, data: bytes | None = None, method: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def give(page: Page, name: str, data: bytes) -> None:
    """Choose a file."""
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": data})


def give_otherwise(page: Page, event: str, name: str, data: bytes) -> None:
    """Drop or paste a file, as a browser tells of it."""
    page.evaluate(
        """([kind, name, data]) => {
            const files = new DataTransfer();
            const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
            files.items.add(new File([bytes], name));
            document.body.dispatchEvent(kind === "drop"
                ? new DragEvent("drop", { bubbles: true, dataTransfer: files })
                : new ClipboardEvent("paste", { bubbles: true, clipboardData: files })); }""",
        [event, name, base64.b64encode(data).decode()],
    )


def first_result(page: Page, phase: str = "done") -> Any:
    expect(page.locator(f".result[data-phase={phase}]").first).to_be_visible()
    return page.locator(f".result[data-phase={phase}]").first


@needs_chromium
def test_a_picture_is_described_compressed_shown_and_saved(
    live: Watched, photo: Picture, tmp_path: Path
) -> None:
    page = live.page
    give(page, "my photo.png", encoded(Image.fromarray(photo)))
    result = first_result(page)
    # The captioner has said something, and the encoder did not need it.
    words = page.locator("#caption").input_value()
    assert words
    expect(result.locator(".said")).to_have_text(f"“{words}”")
    expect(result).to_contain_text("read by nobody")
    expect(page.locator("#shown-facts")).to_contain_text(f"{HEIGHT}, PNG")
    saved = {}
    for ending in ("swi", "PNG"):
        with page.expect_download() as download:
            result.get_by_role("link", name=f"Save {'.swi' if ending == 'swi' else ending}").click()
        assert download.value.suggested_filename == f"my photo.base-16.{ending.lower()}"
        saved[ending] = tmp_path / f"saved.{ending.lower()}"
        download.value.save_as(saved[ending])
    size = saved["swi"].stat().st_size
    expect(result.locator("dd").first).to_have_text(
        re.compile(rf"^{size:,} B {8 * size / (WIDTH * HEIGHT):.3f} bpp$")
    )
    sidewire("decode", saved["swi"], tmp_path / "decoded.png")
    decoded = read_picture(tmp_path / "decoded.png")
    assert np.array_equal(decoded, read_picture(saved["PNG"]))
    expect(result).to_contain_text(f"{psnr(photo, decoded):.2f} dB")
    # The slider goes by keyboard, and the original lies on its left.
    expect(page.locator(".tag.left")).to_have_text("original")
    page.locator("#stage").get_by_role("slider").focus()
    page.keyboard.press("Home")
    assert page.locator(".stage").evaluate("one => one.style.getPropertyValue('--cut')") == "0%"
    assert page.locator(".over").evaluate("one => one.naturalWidth") == WIDTH


@needs_chromium
def test_formats_of_the_day_in_as_many_bytes_and_words_that_travel(
    live: Watched, photo: Picture
) -> None:
    page = live.page
    page.locator("#codec").select_option("ssa")
    page.locator("#caption").fill("Two window shutters")
    page.get_by_label("bits a pixel", exact=True).check()
    page.locator("#bpp").fill("0.2")
    give_otherwise(page, "drop", "dropped.png", encoded(Image.fromarray(photo)))
    result = first_result(page)
    assert page.locator("#caption").input_value() == "Two window shutters"
    sizes = [int(one.split()[0]) for one in result.locator("dd").all_inner_texts()[:3]]
    assert sizes[0] <= 0.2 * WIDTH * HEIGHT / 8
    assert sizes[1:] == [len("Two window shutters"), sizes[0] + len("Two window shutters")]
    result.get_by_role("button", name="JPEG, WebP, AVIF").click()
    expect(page.locator(".result[data-phase=done]")).to_have_count(4)
    for name in ("jpeg", "webp", "avif"):
        row = page.locator(".result", has=page.get_by_role("heading", name=name))
        assert int(row.locator("dd").first.inner_text().split()[0]) <= sizes[0]
        page.locator("#views").get_by_role("button", name=name).click()
        expect(page.locator(".tag.left")).to_contain_text(f"{name},")
        expect(page.locator(".tag.right")).to_contain_text("ssa,")
    page.locator(".result", has=page.get_by_role("heading", name="webp")).get_by_role(
        "button", name="Remove"
    ).click()
    expect(page.locator(".result")).to_have_count(3)
    page.reload()
    expect(page.locator(".result[data-phase=done]")).to_have_count(3)


@needs_chromium
def test_wrong_files_are_told_in_a_sentence_and_the_next_one_is_taken(
    live: Watched, photo: Picture
) -> None:
    page = live.page
    problem = page.locator("#problem")
    give(page, "nothing.png", b"")
    expect(problem).to_have_text("nothing.png is empty (0 bytes).")
    give_otherwise(page, "drop", "notes.txt", b"Dear diary")
    expect(problem).to_have_text("This file cannot be used: not a picture in any known format.")
    give(page, "wide.png", encoded(Image.new("1", (8193, 1))))
    expect(problem).to_contain_text("width is 8193, must be at most 8192")
    unfit = "limits => sidewire.uploading.unfit({ name: 'huge.png', size: 11 }, limits)"
    said = "huge.png has 11 bytes, must have at most 10."
    assert page.evaluate(unfit, {"file_bytes": 10}) == said
    expect(page.locator("#shown")).to_be_hidden()
    give_otherwise(page, "paste", HOSTILE, encoded(Image.fromarray(photo[:64, :64])))
    expect(page.locator("#shown-title")).to_have_text(HOSTILE.removesuffix(".png"))
    first_result(page)
    expect(problem).to_be_hidden()
    assert page.evaluate("window.pwned") is None
    # A picture that is shown stays until there is another.
    give(page, "notes.png", b"Dear diary")
    expect(problem).to_contain_text("not a picture")
    expect(page.locator(".result[data-phase=done]")).to_have_count(1)


@needs_chromium
def test_narrow_and_dark(browser: Browser, address: str, photo: Picture) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto(address)
    expect(page.locator("#phase")).to_have_text("ready")
    page.locator("#codec").select_option("base")
    give(page, "photo.png", encoded(Image.fromarray(photo)))
    first_result(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    back = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert max(back) < 60
    page.close()


# Over HTTP

BINARY = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}


def told(address: str, id: str, until: str) -> dict[str, Any]:
    """What the events say of a picture, as soon as something of it is in that phase."""
    with urllib.request.urlopen(
        f"{address}upload/pictures/{id}/events", timeout=PATIENCE
    ) as events:
        for line in events:
            if line.startswith(b"data: "):
                upload: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
                phases = [upload["phase"], *(one["phase"] for one in upload["results"])]
                if phases[-1] == until:
                    return upload
    raise AssertionError(f"no {until}")


def test_what_is_asked_for_too_much_or_wrongly(address: str, photo: Picture) -> None:
    pictures = address + "upload/pictures"
    data = encoded(Image.fromarray(photo))
    status, headers, _ = ask(address)
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert ask(address + "upload", Host="evil.example")[0] == 400
    assert ask(pictures, data, **{"Content-Type": "image/png"})[0] == 415
    status, _, said = ask(pictures, b"", **BINARY)
    assert (status, json.loads(said)["problem"]) == (422, "the file is empty (0 bytes)")
    status, _, said = ask(pictures, b"x", **BINARY, **{"Content-Length": str(1 << 30)})
    assert (status, "must be at most 134217728" in said.decode()) == (413, True)
    status, _, said = ask(pictures, data, **BINARY)
    assert status == 201
    id = json.loads(said)["id"]
    upload = told(address, id, "ready")
    results = f"{pictures}/{id}/results"
    for body, code in ((b"{", 422), (b'{"codec": "base", "bytes": 0}', 422), (bytes(1 << 17), 413)):
        assert ask(results, body, **JSON)[0] == code
    assert ask(results, b"{}", **{"Content-Type": "text/plain"})[0] == 415
    # A result that cannot be is a result that says why.
    assert ask(results, b'{"codec": "base", "quality": 99}', **JSON)[0] == 202
    assert "has no quality 99" in told(address, id, "failed")["results"][0]["problem"]
    assert ask(results, b'{"codec": "nonsense"}', **JSON)[0] == 202
    # Others' pictures, and files of none, are not to be had.
    status, headers, original = ask(f"{pictures}/{id}/{upload['original']}")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert original.startswith(b"\x89PNG")
    assert "private" in headers["cache-control"]
    other = "0" * 32
    for path in (f"{other}/original.png", f"{id}/uploaded", f"{id}/..%2f..%2fpasswd"):
        assert ask(f"{pictures}/{path}")[0] == 404
    assert ask(f"{pictures}/{other}/results", b'{"codec": "base"}', **JSON)[0] == 404
    assert b"event: gone" in ask(f"{pictures}/{other}/events")[2]
    assert ask(f"{pictures}/{id}", method="DELETE")[0] == 200
    assert ask(f"{pictures}/{id}/{upload['original']}")[0] == 404


def test_visitors_who_leave_in_the_middle_hold_nobody_up(address: str, photo: Picture) -> None:
    host, port = urllib.parse.urlsplit(address).netloc.split(":")
    head = f"POST /upload/pictures HTTP/1.1\r\nHost: {host}\r\nContent-Type: {BINARY['Content-Type']}\r\n"
    for _ in range(Bounds().reading + 1):
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as line:
            line.sendall(f"{head}Content-Length: 1000\r\n\r\nonly this".encode())
    data = encoded(Image.fromarray(photo))

    def is_taken() -> bool:
        return ask(address + "upload/pictures", data, **BINARY)[0] == 201

    until(is_taken, "room for a picture")


def test_a_full_line_is_said_and_what_is_cancelled_holds_nobody_up(
    address: str, photo: Picture
) -> None:
    pictures = address + "upload/pictures"
    large = encoded(Image.fromarray(np.tile(photo, (6, 6, 1))))
    id = json.loads(ask(pictures, large, **BINARY)[2])["id"]
    told(address, id, "ready")
    results = f"{pictures}/{id}/results"
    order = b'{"codec": "baseline/avif", "bytes": 9000}'
    asked = [json.loads(ask(results, order, **JSON)[2]) for _ in range(6)]
    status, _, said = ask(results, order, **JSON)
    assert status == 503
    assert "made or wait is 7, must be at most 6; try again" in json.loads(said)["problem"]
    # The page answers while the first is made, and goes on when all are given up.
    assert ask(address + "upload")[0] == 200
    for one in reversed(asked):
        assert ask(f"{results}/{one['id']}", method="DELETE")[0] == 200
    assert ask(results, b'{"codec": "base", "quality": 0}', **JSON)[0] == 202
    (made,) = told(address, id, "done")["results"]
    assert made["made"]["bytes"] == len(ask(f"{pictures}/{id}/{made['stream']}")[2])
