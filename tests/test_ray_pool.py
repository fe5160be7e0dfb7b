"""Invariant: decoders on Ray lose nothing when they die, grow, shrink or get a newer generator."""

from __future__ import annotations

import asyncio
import io
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cluster.actors.gateway import GatewayActor
from cluster.actors.metrics import GatewayMetrics
from cluster.actors.pool import RayPool
from cluster.actors.roster import DecoderState, PoolSpec, PoolStatus
from cluster.actors.runtime import connected
from cluster.actors.supervisor import find_supervisor
from cluster.benchmarks.sleeping import SleepingSettings
from cluster.trials.effects import folder_deliveries, judge
from cluster.trials.frames import frame as sealed
from cluster.trials.processes import Ends, Program
from receiver.decoders.interface import SwapError
from receiver.decoders.worker import DecodingSettings, PictureFormat
from receiver.settings import ReceiveSettings
from receiver.work import Caption, DecodeFailure, DecodeResult, DecodeTask, End, Frame, Key
from shared.bundle import Manifest, save_bundle, shipped_bundle
from shared.codecs import Codec, get_codec, load_codec
from shared.codecs.loading import load_bundle
from shared.errors import BundleError, LimitError
from shared.pictures import Picture
from shared.wire.v1 import types_pb2 as wire
from tests.conftest import GOLDEN
from tests.numbered_pictures import of_its_width, write_numbered
from tests.patience import PATIENCE
from tests.processes import until_delivered

ray = pytest.importorskip("ray")
from ray._private.utils import publish_error_to_driver  # noqa: E402 - where Ray is not installed

NAMESPACE = f"test-{secrets.token_hex(4)}"
ROOT = Path(__file__).parents[1]
WORDS = "A red bus stands before a green hedge under a blue sky."
#: Of a whole run.
PICTURES = 40
#: What most decoders here load: one model. That they load every one that ships is tried where it matters.
NONE = shipped_bundle("none")
SPEC = PoolSpec(DecodingSettings(PictureFormat.PNG, NONE, threads=1), decoders=1)
EVERY = PoolSpec(DecodingSettings(PictureFormat.PNG, None, threads=1, generator="none"), decoders=1)


@pytest.fixture(scope="module", autouse=True)
def ray_cluster() -> Iterator[None]:
    """One for all tests, where a picture called poison kills its decoder."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SIDEWIRE_FAULT", "decoder.poison:kill")
        with connected(namespace=NAMESPACE, cpus=2):
            yield


@pytest.fixture(scope="module")
def blob(kodak: dict[str, Picture]) -> bytes:
    """A stream that several generators decode."""
    return get_codec("none").encode(kodak["kodim07"][:192, :256], 13).blob


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose generator makes a picture of its own out of the same stream."""
    folder = tmp_path_factory.mktemp("bundles") / "newer"
    bundle = load_bundle(NONE)
    assert isinstance(bundle.manifest, Manifest)
    last = "g_s.body.14.0.bias"
    tensors = bundle.tensors | {last: bundle.tensors[last] + 0.1}
    save_bundle(folder, bundle.manifest, tensors)
    return folder


@pytest.fixture(scope="module")
def long(kodak: dict[str, Picture]) -> bytes:
    """A stream that takes its decoder a while."""
    return get_codec("none").encode(kodak["kodim07"], 13).blob


def task(blob: bytes, name: str = "photo", seq: int = 0, words: str | None = None) -> DecodeTask:
    key = Key("camera", 1, seq)
    frame = Frame(key, bytes(16), name, blob, expects_caption=False)
    caption = Caption(key, b"", 1, words, "en", time.monotonic() + 60) if words else None
    return DecodeTask(frame, caption)


def pixels(result: DecodeResult | DecodeFailure) -> Picture:
    assert isinstance(result, DecodeResult), result
    assert result.media_type == "image/png"
    return np.asarray(Image.open(io.BytesIO(result.picture)))


def distance(one: Picture, other: Picture) -> float:
    """Mean absolute difference, in levels of 255: below 0.5 between machines and batches."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def decoded_here(codec: Codec, blob: bytes) -> Picture:
    return codec.decode(blob).picture


@asynccontextmanager
async def pool(timeout: float = PATIENCE) -> AsyncIterator[RayPool]:
    """One gateway's; the decoders stay for the next test."""
    ours = RayPool(SPEC, NAMESPACE, timeout)
    await ours.start()
    try:
        yield ours
    finally:
        await ours.close()


@asynccontextmanager
async def apart(space: str, spec: PoolSpec, timeout: float = PATIENCE) -> AsyncIterator[RayPool]:
    """A pool with decoders of its own, which end with it."""
    ours = RayPool(spec, space, timeout)
    await ours.start()
    supervisor = find_supervisor(space)
    try:
        yield ours
    finally:
        await ours.close()
        await supervisor.stop.remote()
        ray.kill(supervisor)


async def order(method: str, *arguments: object, space: str = NAMESPACE) -> PoolStatus:
    answer = await getattr(find_supervisor(space), method).remote(*arguments)
    assert isinstance(answer, PoolStatus), answer
    return answer


async def refusal(method: str, *arguments: object) -> Exception:
    answer = await getattr(find_supervisor(NAMESPACE), method).remote(*arguments)
    assert isinstance(answer, Exception), answer
    return answer


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nothing tells of."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


async def states(want: Callable[[Sequence[DecoderState]], bool]) -> list[DecoderState]:
    """The states of all decoders, as soon as they are as wanted."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = [one for one in (await order("status")).decoders.values() if one is not None]
            if want(found):
                return found
            await asyncio.sleep(0.02)


# What is decoded


def test_decoders_are_no_less_urgent_than_what_feeds_them() -> None:
    async def scenario() -> None:
        async with pool():
            for one in await states(bool):
                own, theirs = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (0, one.pid))
                assert theirs == own

    asyncio.run(scenario())


def test_all_that_ship_are_decoded_in_order_with_bad_ones_alone(blob: bytes) -> None:
    bad = blob[:-9] + bytes([blob[-9] ^ 0x10]) + blob[-8:]
    base = (GOLDEN / "strip.swi").read_bytes()
    space = f"{NAMESPACE}-every"

    async def scenario() -> None:
        async with apart(space, EVERY) as ours:
            codecs = {one.name: one for one in ours.codecs}
            assert set(codecs) == {"base", "misc", "ssa"}
            assert codecs["ssa"].model_id == get_codec("base").decoder.model_id
            seen = await ours.inspect(blob, WORDS)
            assert seen.bits.shape == (12, 16)
            assert seen.bits.sum() == pytest.approx(8 * len(blob), rel=0.5)
            first, broken, other, last = await ours.decode(
                [task(blob), task(bad), task(base), task(blob, words=WORDS)]
            )
            # By its name, too, another generator can be had.
            assert (await order("swap", "none", space=space)).model.version > 0
        expected = decoded_here(get_codec("none"), blob)
        assert distance(pixels(first), expected) < 0.5
        assert distance(pixels(last), expected) < 0.5
        assert isinstance(broken, DecodeFailure)
        # Of another model than the shipped one.
        assert isinstance(other, DecodeFailure)
        assert "stream of model" in other.reason

    asyncio.run(scenario())


# Decoders that die


def test_killed_in_mid_batch_loses_nothing(long: bytes) -> None:
    async def scenario() -> None:
        async with pool() as ours:
            (before,) = await states(lambda found: len(found) == 1)
            decoding = asyncio.create_task(ours.decode([task(long, seq=n) for n in range(8)]))
            await states(lambda found: found[0].busy)
            os.kill(before.pid, signal.SIGKILL)
            results = await decoding
            expected = decoded_here(get_codec("none"), long)
            assert all(distance(pixels(result), expected) < 0.5 for result in results)
            (after,) = await states(lambda found: len(found) == 1)
            assert after.pid != before.pid

    asyncio.run(scenario())


def test_task_that_kills_its_decoder_fails_and_its_neighbours_do_not(blob: bytes) -> None:
    async def scenario() -> None:
        async with pool() as ours:
            first, poison, last = await ours.decode([task(blob), task(blob, "poison"), task(blob)])
            assert isinstance(poison, DecodeFailure)
            assert "died 3 times" in poison.reason
            expected = decoded_here(get_codec("none"), blob)
            assert distance(pixels(first), expected) < 0.5
            assert distance(pixels(last), expected) < 0.5

    asyncio.run(scenario())


def test_decoder_that_does_not_answer_is_replaced(blob: bytes) -> None:
    async def scenario() -> None:
        async with pool() as warm:
            await warm.decode([task(blob)])
        (before,) = await states(lambda found: len(found) == 1)
        async with pool(timeout=60.0) as ours:
            await ours.decode([task(blob)])
            os.kill(before.pid, signal.SIGSTOP)
            (result,) = await ours.decode([task(blob)])
            assert distance(pixels(result), decoded_here(get_codec("none"), blob)) < 0.5
        (after,) = await states(lambda found: len(found) == 1)
        assert after.pid != before.pid

    asyncio.run(scenario())


def test_a_decoder_that_is_being_ended_is_given_no_picture(blob: bytes) -> None:
    """It says for a moment that it is there: a picture that was late would count as a death twice."""

    async def scenario() -> None:
        spec = PoolSpec(SleepingSettings(3600.0), 1)
        async with apart(f"{NAMESPACE}-slow", spec, timeout=2.0) as ours:
            for _ in range(2):
                (failure,) = await ours.decode([task(blob)])
                assert isinstance(failure, DecodeFailure)
                assert "gave no answer in 2 s" in failure.reason

    asyncio.run(scenario())


# While pictures flow


@asynccontextmanager
async def flow(ours: RayPool, blob: bytes) -> AsyncIterator[list[DecodeResult | DecodeFailure]]:
    """Batches as many as the pool is wide, all the time; what has come of them, whole at the end."""
    results: list[DecodeResult | DecodeFailure] = []
    over = False
    given = 0

    async def one() -> None:
        results.extend(await ours.decode([task(blob), task(blob, words=WORDS)]))

    async def run() -> None:
        nonlocal given
        running: set[asyncio.Task[None]] = set()
        while not over:
            while len(running) < ours.width:
                running.add(asyncio.create_task(one()))
                given += 2
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task_done in done:
                task_done.result()
        await asyncio.gather(*running)

    flowing = asyncio.create_task(run())
    try:
        yield results
    finally:
        over = True
        await flowing
    assert len(results) == given


async def some_more(results: Sequence[object]) -> None:
    """Wait until pictures have come that were given after this call."""
    seen = len(results)
    await until(lambda: len(results) >= seen + 10)


def test_decoders_grow_and_shrink_while_pictures_flow(blob: bytes) -> None:
    async def scenario() -> None:
        async with pool() as ours, flow(ours, blob) as results:
            await some_more(results)
            (old,) = (await order("status")).decoders
            grown = await order("scale", 2)
            assert len(grown.decoders) == 2
            assert old in grown.decoders
            await until(lambda: ours.width == 2)
            # Both answer: the new one as soon as it has loaded its model, which may take a while.
            await states(lambda found: len(found) == 2 and all(one.pictures for one in found))
            await some_more(results)
            refused = await refusal("scale", 3)
            assert isinstance(refused, LimitError)
            room = "the Ray cluster has 2 CPUs, and each decoder takes one"
            assert str(refused) == f"decoders is 3, must be at most 2: {room}"
            assert len((await order("scale", 1)).decoders) == 1
            await until(lambda: ours.width == 1)
            await some_more(results)
        expected = decoded_here(get_codec("none"), blob)
        assert max(distance(pixels(result), expected) for result in results) < 0.5

    asyncio.run(scenario())


def test_newer_generator_takes_over_while_pictures_flow(blob: bytes, newer: Path) -> None:
    async def scenario() -> None:
        async with pool() as ours:
            async with flow(ours, blob) as results:
                await some_more(results)
                # What cannot take the place is refused, and nothing changes.
                assert isinstance(await refusal("swap", str(GOLDEN / "bundle")), SwapError)
                assert isinstance(await refusal("swap", "/nowhere/at/all"), Exception)
                before = (await order("status")).model
                assert before.settings.model == str(NONE)
                after = (await order("swap", str(newer))).model
                assert after.version > before.version
                await until(lambda: ours._roster.model == after)
                await some_more(results)
            expected = decoded_here(load_codec("", newer), blob)
            before_it = decoded_here(get_codec("none"), blob)
            assert distance(before_it, expected) > 10
            # Nothing but what either generator makes; the old one's first, the new one's last.
            assert distance(pixels(results[0]), before_it) < 0.5
            assert distance(pixels(results[-1]), expected) < 0.5
            for result in results:
                picture = pixels(result)
                assert min(distance(picture, one) for one in (before_it, expected)) < 0.5
            (state,) = await states(lambda found: len(found) == 1)
            assert state.model == after
            await kept_by_a_decoder_that_starts_again(ours, state.pid, blob, expected)
            await order("swap", str(NONE))

    async def kept_by_a_decoder_that_starts_again(
        ours: RayPool, pid: int, blob: bytes, expected: Picture
    ) -> None:
        os.kill(pid, signal.SIGKILL)
        (result,) = await ours.decode([task(blob)])
        assert distance(pixels(result), expected) < 0.5

    asyncio.run(scenario())


# The supervisor


def test_supervisor_that_dies_finds_its_decoders_again(blob: bytes) -> None:
    async def scenario() -> None:
        async with pool() as ours:
            await ours.decode([task(blob)])
            before = (await order("status")).decoders
            supervisor = find_supervisor(NAMESPACE)
            number = ours._roster.number
            ray.kill(supervisor, no_restart=False)
            # Pictures do not go by way of it.
            (result,) = await ours.decode([task(blob)])
            assert isinstance(result, DecodeResult)
            await until(lambda: ours._roster.number != number)
            after = (await order("status")).decoders
            assert {name: one.pid for name, one in after.items() if one} == {
                name: one.pid for name, one in before.items() if one
            }

    asyncio.run(scenario())


def test_commands_find_the_decoders_from_another_process() -> None:
    address = ray.get_runtime_context().gcs_address
    where = ["--ray-address", address, "--ray-namespace", NAMESPACE]
    program = [sys.executable, "-c", "from cluster.commands.actors import app; app()"]

    def said(*words: str, namespace: Sequence[str] = where) -> subprocess.CompletedProcess[str]:
        command = [*program, *words, *namespace]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    found = said("status", "--json")
    assert found.returncode == 0, found.stderr
    status = json.loads(found.stdout)
    assert status["model"] == str(NONE)
    here = asyncio.run(states(lambda found: len(found) == 1))
    assert [one["pid"] for one in status["decoders"]] == [one.pid for one in here]
    refused = said("scale", "9")
    assert refused.returncode == 1
    assert "decoders is 9, must be at most 2" in refused.stderr
    nobody = said("status", namespace=["--ray-address", address, "--ray-namespace", "empty"])
    assert nobody.returncode == 1
    assert "no decoders run in namespace 'empty'" in nobody.stderr


def test_what_ray_says_of_a_node_is_logged_and_not_printed(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output is the command's: one JSON object a line, whatever becomes of a cluster's nodes."""
    said = f"Raylet is terminated {secrets.token_hex(4)}"
    publish_error_to_driver(
        "raylet_died", said, gcs_client=ray.get_runtime_context().worker.gcs_client
    )
    asyncio.run(until(lambda: said in caplog.text))
    assert capfd.readouterr().out == ""


def test_bundle_that_is_missing_is_said_at_the_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        spec = PoolSpec(DecodingSettings(PictureFormat.PNG, tmp_path, threads=1), 1)
        with pytest.raises(BundleError, match=str(tmp_path)):
            await RayPool(spec, f"{NAMESPACE}-other").start()

    asyncio.run(scenario())


def test_decoders_that_sleep_need_no_torch() -> None:
    """More of them than cores fit on a machine: the cluster's side of a pipeline can be measured alone."""
    space = f"{NAMESPACE}-asleep"

    async def scenario() -> None:
        async with apart(space, PoolSpec(SleepingSettings(0.01), decoders=1)) as ours:
            (codec,) = ours.codecs
            assert codec.name == "base"
            results = await ours.decode([task(sealed(seq).container, seq=seq) for seq in range(3)])
            assert results == [DecodeResult(b"", "")] * 3
            supervisor = find_supervisor(space)
            (decoder,) = (await supervisor.status.remote()).decoders.values()
            assert "libtorch" not in Path(f"/proc/{decoder.pid}/maps").read_text()
            refused = await supervisor.swap.remote("ssa")
            assert isinstance(refused, SwapError)

    asyncio.run(scenario())


# A whole receiver


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Containers of real pictures, each of another width."""
    codec, path = get_codec("none"), tmp_path_factory.mktemp("feeds") / "pictures.parquet"
    return write_numbered(path, PICTURES, lambda picture: codec.encode(picture, 11).blob)


def test_receiver_on_a_cluster_loses_nothing_and_has_no_torch(
    tmp_path: Path, feed: Path, newer: Path
) -> None:
    where = ("--ray-address", ray.get_runtime_context().gcs_address)
    space = ("--set", f"ray_namespace={NAMESPACE}", "--bundle", NONE)
    options = ("--decoder", "ray", *where, *space, "--caption-wait", "0.5")
    with Ends(tmp_path, feed, receive=options) as ends:
        gateway = ends.start_receiver()
        assert gateway.line()["ready"]
        sender = ends.start_sender("--set", "rate=5", captions=True)
        until_delivered(ends.sink, 5)
        (decoder,) = asyncio.run(states(lambda found: len(found) == 1))
        os.kill(decoder.pid, signal.SIGKILL)
        until_delivered(ends.sink, 10)
        asyncio.run(order("swap", str(newer)))
        assert sender.wait(PATIENCE) == 0, ends.said("send")
        assert "libtorch" not in Path(f"/proc/{gateway.pid}/maps").read_text()
        gateway.signal(signal.SIGTERM)
        assert gateway.wait(PATIENCE) == 0, ends.said("receive")
        verdict = judge(folder_deliveries(ends.sink), ends.ledger, PICTURES, of_its_width)
        assert (verdict.flaws, verdict.wordless) == ({}, [])
    # The decoders belong to the cluster.
    (after,) = asyncio.run(states(lambda found: len(found) == 1))
    assert after.pid != decoder.pid
    asyncio.run(order("swap", str(NONE)))


def test_gateway_runs_as_an_actor_too(tmp_path: Path, feed: Path) -> None:
    settings = ReceiveSettings(
        images="127.0.0.1:0",
        captions="127.0.0.1:0",
        state=tmp_path / "state",
        sink=tmp_path / "sink",
        caption_wait=0.5,
    )
    gateway = ray.remote(GatewayActor).remote(settings, SPEC, NAMESPACE)
    addresses = ray.get(gateway.start.remote())
    where = ("--images", addresses.images, "--captions", addresses.captions)
    sender = Program(
        "send", "--json", *where, "--feed", feed, "--codec", "sealed", "--state", tmp_path / "j"
    )
    assert sender.wait(PATIENCE) == 0
    left = ray.get(gateway.stop.remote())
    assert (left.frames, left.captions) == (0, 0)
    ledger = tmp_path / "state" / "ledger.sqlite"
    verdict = judge(folder_deliveries(tmp_path / "sink"), ledger, PICTURES, of_its_width)
    assert (verdict.flaws, verdict.wordless) == ({}, [])


# Numbers


def test_metrics_are_at_rays_endpoint(blob: bytes) -> None:
    metrics = GatewayMetrics("gateway-under-test")
    metrics.queued(3)
    metrics.joined(0.25)
    key = Key("camera", 1, 0)
    metrics.ended(End(key, 0, wire.DISPOSITION_DECODED_NO_TEXT, True, False))

    async def decode() -> None:
        async with pool() as ours:
            await ours.decode([task(blob), task(b"nonsense")])

    asyncio.run(decode())
    (node,) = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    wanted = (
        "ray_sidewire_decode_queue{",
        "ray_sidewire_join_wait_seconds_bucket{",
        'disposition="decoded_no_text"',
        "ray_sidewire_decode_seconds_bucket{",
        "ray_sidewire_batch_pictures_bucket{",
        'outcome="failed"',
        'gateway="gateway-under-test"',
    )
    end = time.monotonic() + PATIENCE
    while True:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            text = answer.read().decode()
        missing = [one for one in wanted if one not in text]
        if not missing:
            break
        assert time.monotonic() < end, f"not exported: {missing}"
        time.sleep(0.5)
