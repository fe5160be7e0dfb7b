"""Metrics and health over HTTP, as Prometheus and an orchestrator see them."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cluster.trials.feed import write_feed
from cluster.trials.processes import Ends, Program, command
from receiver.metrics import ReceiverMetrics
from receiver.monitor import monitored
from receiver.observer import Observers
from receiver.settings import ReceiveSettings
from receiver.ways import Ways
from shared.settings import SettingsError
from tests.hostile import FullDisk, GatedPool
from tests.patience import PATIENCE
from tests.wire_client import IMAGES, good, receiving

ROWS = 10


def get(where: str, path: str) -> tuple[int, str]:
    """A page's status and text."""
    try:
        with urllib.request.urlopen(f"http://{where}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def values(where: str) -> dict[tuple[str, ...], float]:
    """All samples, by name and sorted label values."""
    status, text = get(where, "/metrics")
    assert status == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextmanager
def metered(ends: Ends, *words: object) -> Iterator[str]:
    """Where the metrics of a receiver are."""
    program = Program(
        *("receive", "--images", ends.images, "--captions", ends.captions),
        *("--state", ends.folder / "state", "--sink", ends.sink, "--metrics", "127.0.0.1:0"),
        *words,
        log=ends.folder / "receive.log",
    )
    try:
        yield program.line()["metrics"]
        program.signal(signal.SIGTERM)
        assert program.wait() == 0
    finally:
        program.kill()


@pytest.mark.parametrize("decoder", ["processes", "benchmark-noop"])
def test_numbers_of_a_transfer(tmp_path: Path, decoder: str) -> None:
    write_feed(tmp_path / "feed.parquet", rows=ROWS, payload_bytes=60)
    one_process = ("--set", f"decoder={decoder}", "--set", "decoder_processes=1")
    with (
        Ends(tmp_path, tmp_path / "feed.parquet") as ends,
        metered(ends, *one_process, "--caption-wait", 60) as where,
    ):
        assert get(where, "/healthz") == (200, "alive\n")
        assert get(where, "/readyz") == (200, "serving\n")
        before = values(where)
        assert before["sidewire_received_messages_total", "images"] == 0
        assert before["sidewire_serving",] == 1
        sender = ends.start_sender(captions=True)
        sender.wait()
        found = values(where)
    assert found["sidewire_received_messages_total", "images"] == ROWS
    assert found["sidewire_received_messages_total", "captions"] == ROWS
    assert found["sidewire_received_bytes_total", "images"] > 0
    frames = {name[1]: value for name, value in found.items() if is_end_of(name, "frame")}
    if decoder == "processes":  # the feed's containers are of a model that only tests know
        assert frames == {"rejected": ROWS}
        assert found["sidewire_refused_total", "model", "message"] == ROWS
    else:
        assert frames == {"decoded_with_text": ROWS}
        for name in ("join_wait", "queue_wait", "frame"):
            assert found[f"sidewire_{name}_seconds_count",] == ROWS
        assert found["sidewire_batch_pictures_sum",] == ROWS
        assert found["sidewire_decode_seconds_count",] >= 1
    assert found["sidewire_commit_ends_sum",] >= ROWS
    assert found["sidewire_decoders",] == found["sidewire_decoders_alive",] >= 1
    assert found["sidewire_held", "images"] == found["sidewire_decode_queue",] == 0
    assert found["process_resident_memory_bytes",] > 0


def is_end_of(name: tuple[str, ...], what: str) -> bool:
    return name[0] == "sidewire_ended_total" and name[2] == what


def test_readiness_follows_storage_and_the_drain(tmp_path: Path) -> None:
    async def run() -> None:
        sink = FullDisk()
        metrics = ReceiverMetrics("test")
        observer = Observers(metrics, Ways(metrics.gone))
        async with (
            receiving(tmp_path, sink=sink, observer=observer) as local,
            monitored("127.0.0.1:0", metrics, local.gateway) as where,
        ):

            async def becomes(status: int, text: str) -> None:
                async with asyncio.timeout(PATIENCE):
                    while await asyncio.to_thread(get, where, "/readyz") != (status, text):
                        await asyncio.sleep(0.02)

            await becomes(200, "serving\n")
            images = await local.talk(await local.peer(), IMAGES)
            await images.send(frame=images.frame(0, good(0)))
            await becomes(503, "not serving: [Errno 28] No space left on device\n")
            found = await asyncio.to_thread(values, where)
            assert (found["sidewire_serving",], found["sidewire_trouble",]) == (0, 1)
            assert (await asyncio.to_thread(get, where, "/healthz"))[0] == 200
            sink.full = False
            await becomes(200, "serving\n")
            await images.end_of(0)
            sink.full = True
            await images.send(frame=images.frame(1, good(1)))
            draining = asyncio.create_task(local.gateway.drain(PATIENCE))
            await becomes(503, "not serving: it is stopping\n")
            sink.full = False
            assert (await draining).frames == 0

    asyncio.run(run())


def test_gauges_show_what_is_held(tmp_path: Path) -> None:
    async def run() -> None:
        pool, metrics = GatedPool(), ReceiverMetrics("test")
        async with (
            receiving(tmp_path, pool=pool, observer=metrics) as local,
            monitored("127.0.0.1:0", metrics, local.gateway) as where,
        ):
            images = await local.talk(await local.peer(), IMAGES)
            for seq in range(pool.width + 3):
                await images.send(frame=images.frame(seq, good(seq)))
            async with asyncio.timeout(PATIENCE):
                while True:
                    found = await asyncio.to_thread(values, where)
                    if found["sidewire_held", "images"] == pool.width + 3:
                        break
            assert found["sidewire_decodes_in_progress",] + found["sidewire_decode_queue",] == 7
            assert found["sidewire_decodes_in_progress",] >= pool.width
            assert found["sidewire_clients", "images"] == 1
            assert found["sidewire_clients", "captions"] == 0
            assert found["sidewire_streams_open",] == 1
            assert found["sidewire_held_bytes", "images"] > 0
            pool.gate.set()
            await images.end_of(pool.width + 2)

    asyncio.run(run())


def test_an_address_that_cannot_be_had(tmp_path: Path) -> None:
    places = {"state": tmp_path, "sink": tmp_path / "sink"}
    with pytest.raises(SettingsError, match="metrics is unix:/run/x, must be host:port"):
        ReceiveSettings.load(places | {"metrics": "unix:/run/x"})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            command(
                *("receive", "--images", "127.0.0.1:0", "--captions", "127.0.0.1:0"),
                *("--state", tmp_path, "--set", "sink_kind=none", "--metrics", where),
                *("--set", "decoder=benchmark-noop"),
            ),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    assert done.returncode == 1
    last = f"sidewire: cannot listen on {where}: Address already in use; choose another --metrics"
    assert done.stderr.splitlines()[-1] == last
