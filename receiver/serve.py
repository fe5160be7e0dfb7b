"""``sidewire receive``: one gateway with its ledger, its sink and its decoders, from start to drain."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version

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
from shared.errors import SidewireError, WorkLeftError
from shared.locks import only_one
from shared.wire.channels import server_options
from shared.wire.v1.types_pb2 import CodecId

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


def _listen(settings: ReceiveSettings) -> Listen:
    security = settings.security()
    return Listen(
        settings.images,
        settings.captions,
        authenticate=lambda context: security.authenticate(context).name,
        advertised=(settings.advertise_images, settings.advertise_captions),
        credentials=security.credentials,
        options=server_options(settings.limits),
        reflection=settings.reflection,
        server=f"sidewire {version('sidewire')}",
    )


def _terms(settings: ReceiveSettings, pool: DecoderPool, codecs: Sequence[CodecId]) -> Terms:
    return Terms(
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


async def receive(settings: ReceiveSettings) -> Left:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        SidewireError: an address, a folder, a bundle or the ledger cannot be used.
    """
    listen = _listen(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        ledger = Ledger(settings.state / "ledger.sqlite", settings.late_window, time.time)
        stack.callback(ledger.close)
        try:
            sink = make_sink(settings)
            sink.recover(ledger.connection)
        except OSError as error:
            raise SidewireError(f"cannot use the sink {settings.sink}: {error.strerror}") from None
        stack.callback(sink.close)
        pool = make_pool(settings)
        stack.push_async_callback(pool.close)
        codecs = await pool.start()
        delivery = None
        if isinstance(sink, SubscriberSink):
            delivery = DeliveryServicer(ledger.path, sink, listen.authenticate)
            stack.callback(delivery.close)
        gateway = Gateway(
            listen,
            _terms(settings, pool, codecs),
            ledger,
            lambda on_end: Pipeline(ledger, sink, pool, settings.commit_rows, on_end),
            delivery,
        )
        stack.callback(gateway.close)
        return await _serve(gateway, stop, settings.drain_seconds)


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
            raise _first_of(group) from None
    log.info("draining for up to %g s", drain_seconds)
    left = await gateway.drain(drain_seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return left


def _first_of(group: BaseException) -> BaseException:
    """What ended a task group, however deep."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


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
