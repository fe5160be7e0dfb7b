"""Invariant of uploads: what is refused says the limit and the value, and stops nobody else."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from receiver.viewer.lab import Refused
from receiver.viewer.upload.bounds import Bounds
from receiver.viewer.upload.receiving import StalledError, receive_file
from receiver.viewer.upload.shelf import Entry, Shelf
from receiver.viewer.upload.state import LONGEST_CAPTION, Order, Result, Upload, new_result
from receiver.viewer.upload.studio import GoneError, NotReadyError, Studio
from receiver.viewer.upload.turns import BusyError, Turns
from shared.errors import LimitError, SidewireError
from shared.networks.tiling import tiles
from shared.progress import report, watched
from shared.workers import WorkerDiedError, WorkerProcess, tell
from tests.picture_files import encoded

GENEROUS = 120.0


# How far something is


def test_tiles_say_how_many_are_done() -> None:
    seen: list[tuple[int, int]] = []
    with watched(lambda done, of: seen.append((done, of))):
        count = sum(1 for _ in tiles(5, 7, 3, 1))
    report(9, 9)  # nobody watches any more
    assert count == 6
    assert seen == [(done, 6) for done in range(1, 7)]


# Orders


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"quality": 3, "bytes": 100}, "give one of quality, bytes and bpp"),
        ({"bytes": 0}, "greater than or equal to 1"),
        ({"bpp": "nan"}, "finite"),
        ({"quality": -1}, "greater than or equal to 0"),
        ({"caption": "ä" * (LONGEST_CAPTION // 2 + 1)}, f"must be at most {LONGEST_CAPTION}"),
        ({"caption": "half \ud83d"}, "half a character"),
        ({"path": "/etc/passwd"}, "Extra inputs"),
    ],
)
def test_an_order_names_what_is_wrong(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Order.model_validate({"codec": "base", **values})


def test_a_captions_bytes_are_counted_apart() -> None:
    upload = Upload("id", 1000, "ready", "PNG", 40, 20)
    result = new_result("one", upload, Order(codec="ssa", bpp=0.5, caption=" Grün "), 2)
    assert (result.caption, result.caption_bytes) == ("Grün", 5)
    assert result.caption_bpp == pytest.approx(8 * 5 / 800)
    assert (result.wanted, result.before, result.over) == ("at most 0.5 bits a pixel", 2, False)


# What is kept


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def kept(shelf: Shelf, size: int, *, busy: bool = False) -> Entry:
    """A picture on the shelf with a file of so many bytes, and perhaps a result under way."""
    folder = shelf.new_folder()
    (folder / "original.png").write_bytes(bytes(size))
    entry = shelf.add(folder, size)
    results = (Result("r", "base", "", "", 0, 0.0),) if busy else ()
    entry.put(replace(entry.upload, phase="ready", results=results))
    return entry


def test_the_shelf_holds_so_many_and_drops_what_was_not_looked_at(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, most=2, most_bytes=1000, keep_seconds=60, now=Clock())
    first, second = kept(shelf, 1), kept(shelf, 1)
    assert shelf.get(first.upload.id) is first
    third = kept(shelf, 1)
    assert shelf.get(second.upload.id) is None
    assert not second.folder.exists()
    assert second.closed
    assert {one.name for one in tmp_path.iterdir()} == {first.upload.id, third.upload.id}


def test_the_shelf_holds_so_many_bytes_and_never_drops_what_is_worked_on(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, most=9, most_bytes=1000, keep_seconds=60, now=Clock())
    busy, idle = kept(shelf, 600, busy=True), kept(shelf, 300)
    large = kept(shelf, 5000)  # what has just come stays, whatever its size
    assert shelf.get(idle.upload.id) is None
    assert shelf.get(busy.upload.id) is busy
    assert shelf.get(large.upload.id) is large


def test_the_shelf_forgets_after_a_while(tmp_path: Path) -> None:
    clock = Clock()
    shelf = Shelf(tmp_path, most=9, most_bytes=1000, keep_seconds=60, now=clock)
    old, seen, busy = kept(shelf, 1), kept(shelf, 1), kept(shelf, 1, busy=True)
    clock.now = 50
    shelf.get(seen.upload.id)
    clock.now = 70
    shelf.sweep()
    assert [shelf.get(one.upload.id) for one in (old, seen, busy)] == [None, seen, busy]
    assert len({old.upload.id, seen.upload.id, busy.upload.id}) == 3
    assert len(old.upload.id) == 32


# A file that comes


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def nothing() -> AsyncIterator[bytes]:
    yield b"begun"
    await asyncio.sleep(GENEROUS)


@pytest.mark.parametrize(
    ("chunks", "kind", "said"),
    [
        (lambda: pieces(bytes(6), bytes(5)), LimitError, "is 11, must be at most 10"),
        (pieces, SidewireError, r"the file is empty \(0 bytes\)"),
        (nothing, StalledError, r"nothing of the picture came for 0\.1 s"),
    ],
)
def test_what_comes_is_held_to_its_limits(
    chunks: Callable[[], AsyncIterator[bytes]],
    kind: type[Exception],
    said: str,
    tmp_path: Path,
) -> None:
    target = tmp_path / "file"
    with pytest.raises(kind, match=said):
        asyncio.run(receive_file(chunks(), target, 10, 0.1))
    assert target.stat().st_size <= 10


# The line before a process


def slow(request: str) -> str | Refused:
    if request == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if request == "refuse":
        return Refused("not this one")
    tell(f"at {request}")
    if request == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    return request.upper()


def build_slow() -> tuple[str, Callable[[str], str | Refused]]:
    return "built", slow


Line = Turns[str, str, str]


def in_line(scenario: Callable[[Line], Awaitable[None]], most: int = 3) -> None:
    """Run a scenario with a line before a real process."""

    async def run() -> None:
        process: WorkerProcess[str, str, str | Refused] = WorkerProcess(
            "slow process", build_slow, GENEROUS
        )
        line: Line = Turns(process, "pieces of work", most)
        try:
            await scenario(line)
        finally:
            await line.stop()

    asyncio.run(run())


def test_a_line_is_served_in_its_order_and_says_how_far_each_is() -> None:
    async def scenario(line: Line) -> None:
        moved: list[tuple[str, int]] = []
        noted: list[str] = []

        def ask(name: str) -> Awaitable[str]:
            place = line.enter(lambda before: moved.append((name, before)))
            return line.ask(place, name, noted.append)

        assert await line.ready() == "built"
        assert await asyncio.gather(*map(ask, "abc")) == ["A", "B", "C"]
        assert moved == [("b", 0), ("c", 1), ("c", 0)]
        assert noted == ["at a", "at b", "at c"]

    in_line(scenario)


def test_a_full_line_refuses_and_what_leaves_makes_room() -> None:
    async def scenario(line: Line) -> None:
        places = [line.enter(), line.enter()]
        with pytest.raises(BusyError, match="pieces of work is 3, must be at most 2; try again"):
            line.enter()
        line.leave(places[0])
        assert line.enter().before == 1

    in_line(scenario, most=2)


def test_what_dies_refuses_or_is_cancelled_stops_nobody_else() -> None:
    async def scenario(line: Line) -> None:
        dying, refused = line.enter(), line.enter()
        died, no = await asyncio.gather(
            line.ask(dying, "die"), line.ask(refused, "refuse"), return_exceptions=True
        )
        assert isinstance(died, WorkerDiedError)
        assert str(no) == "not this one"
        at_it = asyncio.Event()
        stuck = asyncio.create_task(line.ask(line.enter(), "stop", lambda _: at_it.set()))
        waiting = asyncio.create_task(line.ask(line.enter(), "never"))
        after = asyncio.create_task(line.ask(line.enter(), "after"))
        await at_it.wait()
        waiting.cancel()
        stuck.cancel()
        assert await after == "AFTER"
        assert line.enter().before == 0

    in_line(scenario)


# Pictures of all kinds, read in a real process


def gif() -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def turned() -> bytes:
    """A picture 40 wide and 20 high that is to be shown upright, and so 20 wide."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.new("RGB", (40, 20), (200, 30, 30)), "JPEG", exif=exif)


PHOTO = encoded(Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)))
WRONG = {
    "not a picture": b"hello, I am no picture",
    "damaged": PHOTO[: len(PHOTO) // 2],
    "animated": gif(),
    "width is 8193, must be at most 8192": encoded(Image.new("1", (8193, 1))),
}


async def read(studio: Studio, data: bytes) -> Upload:
    """What becomes of a file."""
    upload = await studio.take(pieces(data))
    entry, seen = studio.entry(upload.id), -1
    async with asyncio.timeout(GENEROUS):
        while entry.upload.phase == "waiting":
            seen = await entry.news(seen)
    return entry.upload


def in_studio(scenario: Callable[[Studio], Awaitable[None]], folder: Path, **bounds: float) -> None:
    async def run() -> None:
        studio = Studio(folder, None, 1, Bounds(**bounds))  # type: ignore[arg-type]
        try:
            await scenario(studio)
        finally:
            await studio.close()
        assert list(folder.iterdir()) == []

    asyncio.run(run())


def test_wrong_files_get_a_sentence_and_stop_nobody(tmp_path: Path) -> None:
    async def scenario(studio: Studio) -> None:
        results = await asyncio.gather(*(read(studio, data) for data in WRONG.values()))
        for said, upload in zip(WRONG, results, strict=True):
            assert upload.phase == "failed"
            assert said in upload.problem
            with pytest.raises(NotReadyError, match=upload.problem[:20]):
                studio.order(upload.id, Order(codec="base"))
        good = await read(studio, turned())
        assert (good.phase, good.width, good.height, good.format) == ("ready", 20, 40, "JPEG")
        with Image.open(studio.file(good.id, good.original)) as shown:
            assert shown.size == (20, 40)
        # The visitor's own file is not kept.
        assert [one.name for one in studio.entry(good.id).folder.iterdir()] == [good.original]

    in_studio(scenario, tmp_path / "uploads")


def test_what_is_too_much_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"

    async def scenario(studio: Studio) -> None:
        with pytest.raises(LimitError, match=f"is {len(PHOTO)}, must be at most 100"):
            await studio.take(pieces(PHOTO))
        with pytest.raises(SidewireError, match="empty"):
            await studio.take(pieces())
        coming = asyncio.create_task(studio.take(nothing()))
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="read is 2, must be at most 1"):
            await studio.take(pieces(b"x"))
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        assert list(folder.iterdir()) == []
        with pytest.raises(GoneError, match="kept for 60 minutes"):
            studio.entry("0" * 32)

    in_studio(scenario, folder, file_bytes=100, reading=1)
