"""``sidewire receive``: one gateway with its ledger, its sink and its decoders, from start to drain."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from receiver.decoders.interface import DecoderPool
from receiver.decoders.noop import NoOpPool
from receiver.decoders.processes import ProcessPool
from receiver.decoders.worker import PictureFormat
from receiver.delivery import DeliveryServicer
from receiver.gateway import Gateway, Left, Listen
from receiver.joiner import JoinPolicy
from receiver.ledger import Ledger
from receiver.pipeline import Pipeline
from receiver.registry import Terms
from receiver.settings import ReceiveSettings
from receiver.sinks.folder import FolderSink
from receiver.sinks.interface import Sink
from receiver.sinks.ledger_only import LedgerOnlySink
from receiver.sinks.parquet import ParquetSink
from receiver.sinks.subscriber import SubscriberSink
from shared.errors import SidewireError, StorageError, WorkLeftError
from shared.wire.channels import server_options

__all__ = ["receive", "serve"]

log = logging.getLogger("sidewire.receiver")


def make_pool(settings: ReceiveSettings) -> DecoderPool:
    """The decoders that the settings ask for."""
    if settings.decoder == "processes":
        return ProcessPool(
            settings.decoder_processes, PictureFormat(settings.picture_format), settings.bundle
        )
    return NoOpPool(echo=settings.decoder == "benchmark-echo")


def make_sink(settings: ReceiveSettings) -> Sink:
    """The sink that the settings ask for."""
    if settings.sink_kind == "subscriber":
        return SubscriberSink()
    if settings.sink_kind == "none" or settings.sink is None:
        return LedgerOnlySink()
    kind = FolderSink if settings.sink_kind == "folder" else ParquetSink
    return kind(settings.sink)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder's lock: two gateways on one ledger would hand out the same offsets.

    Raises:
        StorageError: another process has it, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise StorageError(f"cannot use the state folder {folder}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SidewireError(
                f"the state folder {folder} is in use by another receiver"
            ) from None
        yield


async def receive(settings: ReceiveSettings) -> Left:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        SidewireError: an address, a folder, a bundle or the ledger cannot be used.
    """
    security = settings.security()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ledger = Ledger(settings.state / "ledger.sqlite", settings.late_window, time.time)
    sink = make_sink(settings)
    sink.recover(ledger.connection)
    pool = make_pool(settings)
    try:
        codecs = await pool.start()
        terms = Terms(
            limits=settings.limits,
            policy=JoinPolicy(settings.caption_wait, settings.mode == "refine"),
            quota=settings.quota,
            caption_ttl=settings.caption_ttl,
            codecs=codecs,
            any_model=isinstance(pool, NoOpPool),
            text_encoder=settings.text_encoder,
            gateways=settings.gateways,
            address=settings.self_address,
        )
        listen = Listen(
            settings.images,
            settings.captions,
            authenticate=lambda context: security.authenticate(context).name,
            advertised=(settings.advertise_images, settings.advertise_captions),
            credentials=security.credentials,
            options=server_options(settings.limits),
            reflection=settings.reflection,
            server=f"sidewire {version('sidewire')}",
        )
        delivery = (
            DeliveryServicer(ledger.path, sink, listen.authenticate)
            if isinstance(sink, SubscriberSink)
            else None
        )
        gateway = Gateway(
            listen,
            terms,
            ledger,
            lambda on_end: Pipeline(ledger, sink, pool, settings.commit_rows, on_end),
            delivery,
        )
        return await _serve(gateway, stop, settings.drain_seconds)
    finally:
        await pool.close()
        sink.close()
        ledger.close()


async def _serve(gateway: Gateway, stop: asyncio.Event, drain_seconds: float) -> Left:
    images, captions = await gateway.start()
    print(json.dumps({"ready": True, "images": images, "captions": captions}), flush=True)
    running = asyncio.create_task(gateway.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        stopping.cancel()
        try:
            running.result()
        except* SidewireError as group:
            raise group.exceptions[0] from None
    log.info("draining for up to %g s", drain_seconds)
    left = await gateway.drain(drain_seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return left


def serve(settings: ReceiveSettings) -> None:
    """The command.

    Raises:
        SidewireError: as :func:`receive`. WorkLeftError: the drain ended before the work did.
    """
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    with only_one(settings.state):
        left = asyncio.run(receive(settings))
    what = f"{left.frames} pictures and {left.captions} captions were held; their senders have them"
    if left.frames:
        raise WorkLeftError(f"drained: {what}")
    log.info("drained: %s", what)
