"""Encoding ahead: order, bounds, bad pictures, dying processes; with real processes throughout."""

from __future__ import annotations

import asyncio
import io
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

import pytest
from PIL import Image

from sender.encoders import (
    EncodedPicture,
    EncoderPool,
    Encoders,
    SealedPool,
    UnencodablePicture,
)
from sender.sources import SourcePicture
from sender.work_ahead import READER_NAME
from shared.bitstream.container import BITSTREAM_VERSION, Container
from shared.errors import BundleError, LimitError, QualityError, SidewireError, UnknownCodecError
from shared.feed import FeedError
from tests.codecs import Whole
from tests.conftest import GOLDEN
from tests.processes import existing, started_here

QUALITY = 1
AHEAD = 4
BUNDLE = GOLDEN / "bundle"
MODEL_ID = bytes.fromhex("3e0a547a")

ResultT = TypeVar("ResultT")


class Loop:
    """One event loop for all tests, as the pool of processes is shared."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def run(self, main: Coroutine[Any, Any, ResultT]) -> ResultT:
        return self._runner.run(main)


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    loop = Loop()
    with loop._runner:
        yield loop


@pytest.fixture(scope="module")
def pool(loop: Loop) -> Iterator[EncoderPool]:
    pool = EncoderPool("base", QUALITY, processes=2, ahead=AHEAD, bundle=BUNDLE)
    loop.run(pool.start())
    yield pool
    loop.run(pool.close())


def png(width: int, height: int = 40) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (width % 256, 90, 30)).save(file, "PNG")
    return file.getvalue()


def picture(seq: int) -> SourcePicture:
    """A picture whose width tells its number."""
    return SourcePicture(seq, f"p{seq}", png(100 + seq))


def check(result: EncodedPicture | UnencodablePicture, seq: int) -> None:
    """It is picture ``seq``, encoded."""
    assert isinstance(result, EncodedPicture), result
    header = Container.from_bytes(result.container).header
    assert (result.seq, result.name, header.width) == (seq, f"p{seq}", 100 + seq)
    assert result.content_id == picture(seq).content_id
    assert header.quality == QUALITY
    assert header.is_of(MODEL_ID)


async def encode_all(
    encoders: Encoders, pictures: Iterator[SourcePicture]
) -> list[EncodedPicture | UnencodablePicture]:
    async with aclosing(encoders.encode(pictures)) as results:
        return [result async for result in results]


def process_ids(pool: EncoderPool) -> set[int]:
    """Of the pool's processes that live."""
    return {one.pid for one in pool._processes if one.pid is not None and existing([one.pid])}


class Counted:
    """Pictures without end, and how many were read; ``full`` is set when ``wanted`` were."""

    def __init__(self, wanted: int) -> None:
        self.read = self.taken = self.most_ahead = 0
        self.wanted = wanted
        self.full = threading.Event()

    def __iter__(self) -> Iterator[SourcePicture]:
        while True:
            self.read += 1
            self.most_ahead = max(self.most_ahead, self.read - self.taken)
            if self.read == self.wanted:
                self.full.set()
            yield picture(self.read - 1)


def test_codec_id_has_the_whole_model_id(pool: EncoderPool) -> None:
    """Also where containers are short, and carry its first byte alone."""
    codec_id = pool.codec_id
    assert codec_id is not None
    assert (codec_id.name, codec_id.bitstream_version) == ("base", BITSTREAM_VERSION)
    assert (codec_id.model_id, codec_id.text_encoder_id) == (MODEL_ID, "")


def test_order_and_bad_pictures_in_between(
    loop: Loop, pool: EncoderPool, golden_codec: Whole
) -> None:
    bad = {
        2: (b"", "the file is empty (0 bytes)"),
        3: (b"not a picture", "not a picture in any known format"),
        7: (png(9000, 1), "picture width is 9000, must be at most 8192"),
        9: (png(100)[:-30], "damaged picture: "),
    }
    pictures = [
        SourcePicture(seq, f"p{seq}", bad[seq][0]) if seq in bad else picture(seq)
        for seq in range(12)
    ]
    results = loop.run(encode_all(pool, iter(pictures)))
    assert len(results) == len(pictures)
    for seq, result in enumerate(results):
        if seq not in bad:
            check(result, seq)
            continue
        assert isinstance(result, UnencodablePicture)
        assert (result.seq, result.name) == (seq, f"p{seq}")
        assert result.content_id == pictures[seq].content_id
        assert result.reason.startswith(bad[seq][1])
        assert "\n" not in result.reason
    last = results[-1]
    assert isinstance(last, EncodedPicture)
    assert golden_codec.decode(last.container).picture.shape == (40, 111, 3)


@pytest.mark.parametrize("kind", ["processes", "sealed"])
def test_source_is_read_ahead_and_no_farther(loop: Loop, pool: EncoderPool, kind: str) -> None:
    encoders: Encoders = pool if kind == "processes" else SealedPool(AHEAD)

    async def consume() -> Counted:
        source = Counted(wanted=1 + AHEAD)
        async with aclosing(encoders.encode(iter(source))) as results:
            assert (await anext(results)).seq == 0
            source.taken = 1
            # While the consumer holds still, the source is read up to the bound...
            await asyncio.to_thread(source.full.wait)
            for seq in range(1, 20):
                source.taken += 1  # before it is: what is taken makes room at once
                assert (await anext(results)).seq == seq
        return source

    # ... and neither then nor later beyond it.
    source = loop.run(consume())
    assert source.most_ahead == AHEAD


def test_error_of_the_source_comes_after_its_pictures(loop: Loop, pool: EncoderPool) -> None:
    def source() -> Iterator[SourcePicture]:
        yield from map(picture, range(3))
        raise FeedError("feed.parquet: damaged")

    async def consume() -> None:
        results = pool.encode(source())
        for seq in range(3):
            check(await anext(results), seq)
        with pytest.raises(FeedError, match=r"feed\.parquet: damaged"):
            await anext(results)

    loop.run(consume())


def test_leaving_early_stops_reading_and_the_pool_goes_on(loop: Loop, pool: EncoderPool) -> None:
    async def take_one() -> int:
        source = Counted(wanted=0)
        async with aclosing(pool.encode(iter(source))) as results:
            check(await anext(results), 0)
        readers = [one for one in threading.enumerate() if one.name == READER_NAME]
        for reader in readers:
            await asyncio.to_thread(reader.join)
        return source.read

    assert loop.run(take_one()) <= 1 + AHEAD
    for seq, result in enumerate(loop.run(encode_all(pool, map(picture, range(5))))):
        check(result, seq)


def test_a_source_that_never_goes_on_holds_nobody_up(loop: Loop, pool: EncoderPool) -> None:
    goes_on = threading.Event()

    def source() -> Iterator[SourcePicture]:
        yield picture(0)
        goes_on.wait()

    async def take_one() -> None:
        async with aclosing(pool.encode(source())) as results:
            check(await anext(results), 0)

    loop.run(take_one())
    assert any(one.name == READER_NAME for one in threading.enumerate())
    goes_on.set()


# Processes that die


def test_interrupts_do_not_reach_the_processes(loop: Loop, pool: EncoderPool) -> None:
    before = process_ids(pool)
    for pid in before:
        os.kill(pid, signal.SIGINT)
    for seq, result in enumerate(loop.run(encode_all(pool, map(picture, range(4))))):
        check(result, seq)
    assert process_ids(pool) == before
    assert len(before) == 2


def test_killed_processes_are_replaced_and_their_pictures_tried_again(
    loop: Loop, pool: EncoderPool
) -> None:
    before = process_ids(pool)

    async def consume() -> list[EncodedPicture | UnencodablePicture]:
        source = Counted(wanted=AHEAD)
        for pid in before:  # so that each has a picture for certain when it is killed
            os.kill(pid, signal.SIGSTOP)
        async with aclosing(pool.encode(iter(source))) as results:
            first = asyncio.create_task(anext(results))
            await asyncio.to_thread(source.full.wait)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            taken = [await first] + [await anext(results) for _ in range(9)]
            assert len(process_ids(pool)) == 2
            assert not process_ids(pool) & before
            assert existing(before) == []
            return taken

    for seq, result in enumerate(loop.run(consume())):
        check(result, seq)


def test_deaths_at_different_pictures_cost_none(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process in turn dies at its third picture."""
    monkeypatch.setenv("SIDEWIRE_FAULT", "encoder.before_encode:kill:3")
    pool = EncoderPool("base", QUALITY, processes=1, ahead=AHEAD, bundle=BUNDLE)

    async def consume() -> list[EncodedPicture | UnencodablePicture]:
        await pool.start()
        before = process_ids(pool)
        results = await encode_all(pool, map(picture, range(6)))
        assert process_ids(pool) != before
        assert existing(before) == []
        await pool.close()
        return results

    results = loop.run(consume())
    assert len(results) == 6
    for seq, result in enumerate(results):
        check(result, seq)


def test_a_picture_that_kills_twice_is_to_blame(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDEWIRE_FAULT", "encoder.before_encode:kill:1")
    pool = EncoderPool("base", QUALITY, processes=1, ahead=1, bundle=BUNDLE)

    async def consume() -> None:
        await pool.start()
        async with aclosing(pool.encode(map(picture, range(2)))) as results:
            first = await anext(results)
            assert isinstance(first, UnencodablePicture)
            assert (first.seq, first.reason) == (0, "its encoding process died 2 times")
            monkeypatch.delenv("SIDEWIRE_FAULT")  # the next picture is not begun before this
            check(await anext(results), 1)
        await pool.close()

    loop.run(consume())


def test_close_ends_what_is_under_way(loop: Loop) -> None:
    pool = EncoderPool("base", QUALITY, processes=1, ahead=AHEAD, bundle=BUNDLE)

    async def consume() -> None:
        await pool.start()
        (pid,) = process_ids(pool)
        os.kill(pid, signal.SIGSTOP)
        source = Counted(wanted=AHEAD)
        async with aclosing(pool.encode(iter(source))) as results:
            first = asyncio.create_task(anext(results))
            await asyncio.to_thread(source.full.wait)
            await pool.close()
            with pytest.raises(SidewireError, match="the encoding process was stopped"):
                await first
        assert existing([pid]) == []

    loop.run(consume())


PARENT = """
import asyncio, os, pathlib, sys
from sender.encoders import EncoderPool

async def main():
    await EncoderPool("base", 1, 1, 1, pathlib.Path(sys.argv[1])).start()
    me = os.getpid()
    print(pathlib.Path(f"/proc/{me}/task/{me}/children").read_text(), flush=True)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_processes_leave_with_a_killed_parent(tmp_path: Any) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    command = [sys.executable, str(script), str(BUNDLE)]
    environment = {**os.environ, "PYTHONPATH": str(GOLDEN.parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout
        handle = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    readable, _, _ = select.select([handle], [], [], 60)
    os.close(handle)
    assert readable, "the encoding process outlived its parent"


# Settings


def test_wrong_settings_are_typed_at_start(loop: Loop, tmp_path: Any) -> None:
    pools = {
        EncoderPool("nonsense", QUALITY, 1, 1): UnknownCodecError("no codec 'nonsense'"),
        EncoderPool("baseline/jpeg", 40, 1, 1): UnknownCodecError("files of its own format"),
        EncoderPool("base", 9, 2, 1, BUNDLE): QualityError("base has no quality 9; choose one of"),
        EncoderPool("base", QUALITY, 1, 1, tmp_path): BundleError(str(tmp_path)),
    }

    async def start_all() -> list[BaseException | None]:
        return await asyncio.gather(*(pool.start() for pool in pools), return_exceptions=True)

    with started_here() as pids:
        errors = loop.run(start_all())
    for error, wanted in zip(errors, pools.values(), strict=True):
        assert type(error) is type(wanted)
        assert str(wanted) in str(error)
    assert len(pids) >= len(pools)
    assert existing(pids) == []


def test_a_process_that_dies_at_once_is_not_started_for_ever(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no interpreter starts with it
    with pytest.raises(SidewireError, match="died 3 times while it built codec 'base'"):
        loop.run(EncoderPool("base", QUALITY, 1, 1).start())


@pytest.mark.parametrize("number", ["processes", "ahead"])
def test_numbers_below_one(number: str) -> None:
    numbers = {"processes": 1, "ahead": 1, number: 0}
    with pytest.raises(LimitError, match=f"{number} is 0, must be at least 1"):
        EncoderPool("base", QUALITY, **numbers)


def test_the_parent_never_imports_torch() -> None:
    code = "import sys, sender.encoders, sender.sources; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# Containers that pass unread


def test_sealed_containers_pass_unread(loop: Loop) -> None:
    pool = SealedPool(AHEAD)
    images = [b"container %d" % seq for seq in range(10)]
    images[4] = b""
    pictures = [SourcePicture(seq, f"p{seq}", image) for seq, image in enumerate(images)]

    async def consume() -> list[EncodedPicture | UnencodablePicture]:
        await pool.start()
        results = await encode_all(pool, iter(pictures))
        await pool.close()
        return results

    results = loop.run(consume())
    assert pool.codec_id is None
    assert [(one.seq, one.name, one.content_id) for one in results] == [
        (one.seq, one.name, one.content_id) for one in pictures
    ]
    (empty,) = (one for one in results if isinstance(one, UnencodablePicture))
    assert (empty.seq, empty.reason) == (4, "the feed holds no container for it")
    sealed = [one.container for one in results if isinstance(one, EncodedPicture)]
    assert sealed == [image for image in images if image]
