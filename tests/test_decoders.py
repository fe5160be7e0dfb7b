"""Invariant: a batch is decoded whatever happens to a decoder; only what can never be decoded fails."""

from __future__ import annotations

import asyncio
import io
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from receiver.decoders import loading
from receiver.decoders.batches import InspectTask
from receiver.decoders.interface import Inspection
from receiver.decoders.noop import NoOpPool
from receiver.decoders.processes import ProcessPool
from receiver.decoders.worker import Decoder, DecodingSettings, PictureFormat
from receiver.flow import Account
from receiver.joiner import JoinPolicy
from receiver.ledger import Ledger
from receiver.pipeline import Pipeline
from receiver.serve import make_pool
from receiver.session import Session
from receiver.settings import ReceiveSettings
from receiver.sinks.ledger_only import LedgerOnlySink
from receiver.work import Caption, DecodeFailure, DecodeResult, DecodeTask, Frame, Key
from shared.bitstream.container import BITSTREAM_VERSION
from shared.bundle import shipped_bundle
from shared.codecs import Decoded, get_codec
from shared.codecs.halves import LatentDecoder
from shared.codecs.loading import decoder_of, load_bundle
from shared.errors import BundleError, SidewireError, UnknownCodecError
from shared.pictures import Picture
from shared.text.interface import TextWeightsError
from shared.wire.limits import Limits, Window
from shared.wire.positions import Positions
from shared.wire.v1.types_pb2 import CodecId
from tests.codecs import whole
from tests.conftest import GOLDEN
from tests.golden.make import CASES

BUNDLE = GOLDEN / "bundle"

#: Starts a pool, says who its decoders are, and waits to be killed.
GATEWAY = """
import asyncio, sys
from pathlib import Path
from receiver.decoders.processes import ProcessPool

async def main():
    pool = ProcessPool(2, bundle=Path(sys.argv[1]))
    await pool.start()
    print(*pool.pids, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def container(case: str) -> bytes:
    return (GOLDEN / f"{case}.swi").read_bytes()


def task(blob: bytes, name: str = "photo", seq: int = 0) -> DecodeTask:
    frame = Frame(Key("camera", 1, seq), bytes(16), name, blob, expects_caption=False)
    return DecodeTask(frame, caption=None)


def named(*names: str) -> list[DecodeTask]:
    """Small tasks of one size."""
    return [task(container("strip"), name, seq) for seq, name in enumerate(names)]


def pixels(result: DecodeResult | DecodeFailure) -> Picture:
    assert isinstance(result, DecodeResult), result
    return np.asarray(Image.open(io.BytesIO(result.picture)))


@asynccontextmanager
async def started(processes: int = 1, **more: object) -> AsyncIterator[ProcessPool]:
    """The pool of a receiver with these settings."""
    places = {"state": "unused", "sink": "unused", "bundle": BUNDLE}
    settings = ReceiveSettings.model_validate(places | {"decoder_processes": processes} | more)
    pool = make_pool(settings)
    assert isinstance(pool, ProcessPool)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


@contextmanager
def threads_of(processes: int) -> Iterator[None]:
    """Have as many threads as each of some decoders: floats differ in their last bits between counts."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // processes))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def strip() -> Picture:
    """What every task of :func:`named` decodes to."""
    with threads_of(processes=1):
        return whole(BUNDLE, None).decode(container("strip")).picture


def assert_decoded(results: Sequence[DecodeResult | DecodeFailure], expected: Picture) -> None:
    for result in results:
        assert np.array_equal(pixels(result), expected)


# What is decoded


def test_results_are_the_codecs_in_order() -> None:
    codec = whole(BUNDLE, None)

    async def scenario() -> list[DecodeResult | DecodeFailure]:
        pool = ProcessPool(2, bundle=BUNDLE)
        try:
            (codec_id,) = await pool.start()
            assert (codec_id.name, codec_id.bitstream_version) == ("base", BITSTREAM_VERSION)
            assert (codec_id.model_id, codec_id.text_encoder_id) == (codec.model_id, "")
            cases = [task(container(case)) for case in CASES]
            # More batches than decoders.
            batches = await asyncio.gather(*(pool.decode([one, one]) for one in cases))
        finally:
            await pool.close()
        assert pool.pids == []
        assert all(first == second for first, second in batches)
        return [first for first, _ in batches]

    results = asyncio.run(scenario())
    with threads_of(processes=2):
        for case, result in zip(CASES, results, strict=True):
            assert result.media_type == "image/png"
            assert np.array_equal(pixels(result), codec.decode(container(case)).picture), case


@pytest.fixture(scope="module", params=PictureFormat)
def decoder(request: pytest.FixtureRequest) -> Decoder:
    """A decoder in this process."""
    return Decoder(DecodingSettings(request.param, BUNDLE, torch.get_num_threads()))


def test_pictures_are_of_the_format_that_was_asked_for(decoder: Decoder) -> None:
    (result,) = decoder.decode([task(container("parrots"))])
    picture = Image.open(io.BytesIO(result.picture))
    assert (picture.get_format_mimetype(), picture.size) == (result.media_type, (320, 256))
    golden = np.asarray(Image.open(GOLDEN / "parrots.png")).astype(int)
    assert np.abs(np.asarray(picture).astype(int) - golden).mean() < 4


def flipped(blob: bytes) -> bytes:
    return blob[:-9] + bytes([blob[-9] ^ 0x10]) + blob[-8:]


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (flipped(container("strip")), "the payload does not end where its symbols do"),
        (container("strip")[:4] + b"none" + container("strip")[8:], "stream of model 6e6f6e65"),
        (container("strip")[:3] + b"\xff" + container("strip")[4:], "codec id 255"),
        (b"", "not a Sidewire stream"),
    ],
    ids=["payload", "model", "codec", "empty"],
)
def test_bad_container_fails_alone_and_says_why(
    decoder: Decoder, blob: bytes, reason: str, strip: Picture
) -> None:
    good, bad, after = decoder.decode([*named("a"), task(blob), *named("b")])
    assert isinstance(bad, DecodeFailure)
    assert "\n" not in bad.reason
    assert re.search(reason, bad.reason)
    assert pixels(good).shape == pixels(after).shape == strip.shape


def test_missing_bundle_is_said_at_the_start(tmp_path) -> None:
    async def scenario() -> None:
        pool = ProcessPool(1, bundle=tmp_path)
        with pytest.raises(BundleError, match=str(tmp_path)):
            await pool.start()
        assert pool.pids == []

    asyncio.run(scenario())


# Words


def worded(blob: bytes, text: str | None, seq: int = 0) -> DecodeTask:
    caption = None if text is None else Caption(Key("camera", 1, seq), b"", 1, text, "en", 60.0)
    return replace(task(blob, seq=seq), caption=caption)


class Listening(LatentDecoder):
    """A shipped generator, which notes what it is asked."""

    def __init__(self) -> None:
        self.__dict__ |= vars(decoder_of(load_bundle(shipped_bundle("none"))))
        self.asked: list[list[str | None]] = []

    def decode_batch(
        self, blobs: Sequence[bytes], captions: Sequence[str | None]
    ) -> list[Decoded | SidewireError]:
        self.asked.append(list(captions))
        if "too much" in captions:
            raise TextWeightsError("no words today")
        return super().decode_batch(blobs, captions)


def ssa_blob(picture: Picture) -> bytes:
    return get_codec("ssa").encode(picture, 0).blob


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Listening:
    decoders = {"ssa": Listening()} | {one: get_codec(one).decoder for one in ("base", "misc")}
    monkeypatch.setattr(loading, "load_decoder", lambda name, bundle: decoders[name])
    return decoders["ssa"]


@pytest.fixture
def hearing(listening: Listening) -> Decoder:
    """A decoder of words, in this process."""
    return Decoder(DecodingSettings(PictureFormat.PNG, None, torch.get_num_threads()))


def test_each_picture_is_decoded_with_its_own_words_in_one_batch(
    hearing: Decoder, listening: Listening, kodak: dict[str, Picture]
) -> None:
    small = kodak["kodim07"][:64, :96]
    blob, other = ssa_blob(small), get_codec("base").encode(small, 0).blob
    captions = ["a bus", None, "a hedge"]
    tasks = [worded(blob, text, seq) for seq, text in enumerate(captions)]
    results = hearing.decode([*tasks[:2], task(other), tasks[2]])
    assert listening.asked == [captions]
    assert [pixels(result).shape for result in results] == [small.shape] * 4


def test_words_that_cannot_be_read_cost_no_picture(
    hearing: Decoder, listening: Listening, kodak: dict[str, Picture]
) -> None:
    blob = ssa_blob(kodak["kodim07"][:64, :96])
    results = hearing.decode([worded(blob, "a bus"), worded(blob, "too much", 1)])
    assert listening.asked[1:] == [["a bus"], ["too much"], [None]]
    assert np.array_equal(*map(pixels, results))


@pytest.mark.parametrize(
    ("caption", "language", "note"),
    [
        (None, "de", ""),
        ("A red car in front of a house", "", ""),
        (
            "Ein roter Wagen vor einem Haus",
            "",
            "its language is de, which the text encoder was not",
        ),
        ("coche rojo", "es", "its language is es, which the text encoder was not"),
    ],
)
def test_who_looks_into_a_stream_is_told_what_the_text_encoder_could_not_read(
    kodak: dict[str, Picture], caption: str | None, language: str, note: str
) -> None:
    blob = get_codec("ssa").encode(kodak["kodim07"][:64, :96], 0).blob
    reader = Decoder(DecodingSettings(PictureFormat.PNG, None, torch.get_num_threads()))
    seen = reader.inspect(InspectTask(blob, caption, language))
    assert isinstance(seen, Inspection)
    assert seen.caption_note.startswith(note)
    assert bool(seen.caption_note) == bool(note)


def test_the_generator_is_a_choice_and_says_what_it_reads() -> None:
    def codecs(generator: str) -> dict[str, CodecId]:
        decoder = Decoder(
            DecodingSettings(PictureFormat.PNG, None, torch.get_num_threads(), generator)
        )
        return {one.name: one for one in map(CodecId.FromString, decoder.codec_ids())}

    read, deaf = codecs("ssa"), codecs("none")
    assert set(read) == set(deaf) == {"base", "misc", "ssa"}
    assert read["ssa"].model_id == deaf["ssa"].model_id
    assert read["ssa"].text_encoder_id.startswith("minilm:")
    assert deaf["ssa"].text_encoder_id == ""
    with pytest.raises(UnknownCodecError, match="baseline/jpeg decodes files of its own"):
        codecs("baseline/jpeg")


def test_each_stream_has_its_own_decoder_but_a_bundle_alone_decodes_all_it_can() -> None:
    """A chosen generator paints its own containers; a bundle alone, those of its stream, too."""
    found = loading.load_decoders(None, "ssa")
    own = {"base": "base", "misc": "misc", "ssa": "ssa"}
    assert {stream: one.name for stream, one in found.items()} == own
    alone = loading.load_decoders(shipped_bundle("none"), "ssa")
    assert {stream: one.name for stream, one in alone.items()} == {"base": "none", "ssa": "none"}
    said = {name: loading.codec_id(name, one) for name, one in alone.items()}
    assert {name: one.name for name, one in said.items()} == {"base": "base", "ssa": "ssa"}
    assert said["base"].model_id == said["ssa"].model_id == found["base"].model_id


def test_decoders_show_what_they_do(decoder: Decoder) -> None:
    seen = decoder.inspect(InspectTask(container("parrots"), None))
    assert isinstance(seen, Inspection)
    assert seen.bits.shape == (16, 20)
    assert isinstance(decoder.inspect(InspectTask(b"nonsense", None)), SidewireError)


# The pipeline


class GatedPool(NoOpPool):
    """Decodes when it is let, and knows how many batches it has."""

    width = 1
    batch_limit = 1

    def __init__(self) -> None:
        super().__init__()
        self.under_way = 0
        #: Of the batches that came.
        self.sizes: list[int] = []
        self.came = asyncio.Condition()
        self.gate = asyncio.Semaphore(0)

    async def until_under_way(self, count: int) -> None:
        """So many batches, no more and no less."""
        async with self.came, asyncio.timeout(60):
            await self.came.wait_for(lambda: self.under_way == count)

    async def decode(self, tasks: Sequence[DecodeTask]) -> list[DecodeResult | DecodeFailure]:
        async with self.came:
            self.under_way += 1
            self.sizes.append(len(tasks))
            self.came.notify_all()
        await self.gate.acquire()
        self.under_way -= 1
        return await super().decode(tasks)


FRAMES = 10


@asynccontextmanager
async def frames_before(pool: GatedPool, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A pipeline that has got :data:`FRAMES` frames of one size; at the end all of them are decoded."""
    blob = container("strip")
    accounts = (Account(Window(100, 1 << 20)), Account(Window(100, 1 << 20)))
    session = Session("camera", 1, "id", "sender", JoinPolicy(), Limits(), accounts)
    session.images.attach()
    ledger = Ledger(tmp_path / "ledger", 60.0, lambda: 0.0)
    over = asyncio.Event()

    def look(_: Session) -> None:
        if session.images.positions == Positions(FRAMES):
            over.set()

    pipeline = Pipeline(ledger, LedgerOnlySink(), pool, 64, look)
    running = asyncio.create_task(pipeline.run())
    for seq in range(FRAMES):
        frame = replace(task(blob).frame, key=Key("camera", 1, seq))
        pipeline.perform(session, session.frame(frame, 0.0))
    yield pipeline
    for _ in range(FRAMES):
        pool.gate.release()
    async with asyncio.timeout(60):
        await over.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    pipeline.close()
    ledger.close()


def test_as_many_batches_are_decoded_as_the_pool_is_wide(tmp_path: Path) -> None:
    async def scenario() -> None:
        pool = GatedPool()
        async with frames_before(pool, tmp_path) as pipeline:
            await pool.until_under_way(1)
            assert pipeline.queue == 9
            pool.width = 3
            pool.gate.release()
            await pool.until_under_way(3)
            assert pipeline.queue == 6
            pool.width = 2
            for _ in range(2):
                pool.gate.release()
            await pool.until_under_way(2)
            assert pipeline.queue == 5

    asyncio.run(scenario())


def test_no_decoder_takes_more_than_its_share(tmp_path: Path) -> None:
    """The first of four decoders gets three of ten frames, though a batch might be of eight."""

    async def scenario() -> None:
        pool = GatedPool()
        pool.width, pool.batch_limit = 4, 8
        async with frames_before(pool, tmp_path) as pipeline:
            await pool.until_under_way(4)
            assert pool.sizes == [3, 3, 3, 1]
            assert pipeline.queue == 0

    asyncio.run(scenario())


def test_no_batch_is_over_the_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        pool = GatedPool()
        pool.batch_limit = 4
        async with frames_before(pool, tmp_path):
            for _ in range(3):
                await pool.until_under_way(1)
                pool.gate.release()
        assert pool.sizes == [4, 4, 2]

    asyncio.run(scenario())


# Decoders that die


async def stopped(pid: int) -> None:
    """Wait until a child of this process stops."""
    await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


def test_killed_in_mid_batch_loses_nothing(strip: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setenv("SIDEWIRE_FAULT", "decoder.second:pause")
        async with started() as pool:
            (pid,) = pool.pids
            decoding = asyncio.create_task(pool.decode(named("first", "second", "third")))
            await stopped(pid)
            monkeypatch.delenv("SIDEWIRE_FAULT")
            os.kill(pid, signal.SIGKILL)
            assert_decoded(await decoding, strip)
            assert pool.pids != [pid]

    asyncio.run(scenario())


def test_task_that_kills_its_decoder_fails_and_its_neighbours_do_not(
    strip: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setenv("SIDEWIRE_FAULT", "decoder.poison:kill")
        async with started() as pool:
            first, poison, last = await pool.decode(named("first", "poison", "last"))
            assert isinstance(poison, DecodeFailure)
            assert "died 3 times" in poison.reason
            assert_decoded([first, last], strip)
            # The pool is as good as new.
            assert_decoded(await pool.decode(named("after")), strip)

    asyncio.run(scenario())


def test_decoder_that_does_not_answer_is_replaced(
    strip: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setenv("SIDEWIRE_FAULT", "decoder.stuck:pause")
        # That long the next one may take, too.
        async with started(decode_seconds=10) as pool:
            (pid,) = pool.pids
            decoding = asyncio.create_task(pool.decode(named("stuck")))
            await stopped(pid)
            monkeypatch.delenv("SIDEWIRE_FAULT")
            assert_decoded(await decoding, strip)
            assert pool.pids != [pid]

    asyncio.run(scenario())


def test_cancelled_batch_does_not_answer_the_next(
    strip: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setenv("SIDEWIRE_FAULT", "decoder.abandoned:pause")
        async with started() as pool:
            (pid,) = pool.pids
            decoding = asyncio.create_task(pool.decode([task(container("parrots"), "abandoned")]))
            await stopped(pid)
            decoding.cancel()
            assert_decoded(await pool.decode(named("next")), strip)

    asyncio.run(scenario())


def test_signals_to_the_whole_group_are_the_gateways(strip: Picture) -> None:
    async def scenario() -> None:
        async with started() as pool:
            pids = pool.pids
            for pid in pids:
                os.kill(pid, signal.SIGINT)
                os.kill(pid, signal.SIGTERM)
            assert_decoded(await pool.decode(named("draining")), strip)
            assert pool.pids == pids

    asyncio.run(scenario())


def test_decoders_die_with_a_gateway_that_is_killed() -> None:
    command = [sys.executable, "-c", GATEWAY, str(BUNDLE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        pids = [int(pid) for pid in gateway.stdout.readline().split()]
        handles = [os.pidfd_open(pid) for pid in pids]
        gateway.kill()
    assert len(handles) == 2
    for handle in handles:
        readable, _, _ = select.select([handle], [], [], 60)
        os.close(handle)
        assert readable, "the decoder outlived its gateway"


# Without decoding


def test_gateway_loads_no_torch() -> None:
    program = (
        "import receiver.decoders.processes, receiver.delivery, sys; print('torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"


def test_noop_pool_names_itself_and_echoes_on_request() -> None:
    async def scenario() -> None:
        (codec,) = await NoOpPool().start()
        assert codec.name == "benchmark-noop"
        tasks = named("a", "b")
        assert await NoOpPool().decode(tasks) == [DecodeResult(b"", "")] * 2
        echoed = await NoOpPool(echo=True).decode(tasks)
        assert echoed == [DecodeResult(container("strip"), "application/x-sidewire")] * 2

    asyncio.run(scenario())
