"""``sidewire receive``: one gateway with its ledger, its sink and its decoders, from start to drain."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from receiver.decoders.interface import DecoderPool
from receiver.decoders.noop import NoOpPool
from receiver.decoders.processes import ProcessPool
from receiver.decoders.worker import PictureFormat
from receiver.delivery import DeliveryServicer
from receiver.gateway import Gateway, Left, Listen
from receiver.handshakes import watched_handshakes
from receiver.joiner import JoinPolicy
from receiver.ledger import Ledger
from receiver.observer import Observer
from receiver.pipeline import Pipeline
from receiver.registry import Terms
from receiver.renewal import RenewableSecurity
from receiver.settings import ReceiveSettings
from receiver.sinks.folder import FolderSink
from receiver.sinks.interface import Sink
from receiver.sinks.ledger_only import LedgerOnlySink
from receiver.sinks.places import StorePlace, is_of_store
from receiver.sinks.staged import Stage
from receiver.sinks.staging import Staging
from receiver.sinks.subscriber import SubscriberSink
from receiver.start_lines import say_ready, say_starting
from receiver.watch import Watch
from shared.bitstream.container import Container
from shared.errors import SidewireError, WorkLeftError, first_of
from shared.extras import need
from shared.locks import only_one
from shared.logs import log_to_standard_error
from shared.systems.catalogue import stream_name
from shared.version import VERSION
from shared.wire.channels import server_options
from shared.wire.v1.types_pb2 import CodecId

__all__ = ["Addresses", "receive", "serve"]

log = logging.getLogger("sidewire.receiver")

T = TypeVar("T")
LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


@dataclass(frozen=True, slots=True)
class Addresses:
    """host:port of both channels and of the metrics, with the ports that were given; empty for no metrics."""

    images: str
    captions: str
    metrics: str = ""


def make_pool(settings: ReceiveSettings) -> DecoderPool:
    """The decoders that the settings ask for."""
    if settings.decoder == "processes":
        need("decoder processes", "decoder")
        return ProcessPool(
            settings.decoder_processes,
            PictureFormat(settings.picture_format),
            settings.bundle,
            timeout=settings.decode_seconds,
            generator=settings.generator,
        )
    if settings.decoder == "ray":
        raise SidewireError(
            "decoder is ray, which `sidewire receive` brings and hands in as a pool"
        )
    return NoOpPool(echo=settings.decoder == "benchmark-echo")


def make_sink(settings: ReceiveSettings) -> Sink:
    """The sink that the settings ask for."""
    if settings.sink_kind == "subscriber":
        return SubscriberSink()
    if settings.sink_kind == "none" or settings.sink is None:
        return LedgerOnlySink()
    if settings.sink_kind == "folder":
        return FolderSink(_stage(settings.sink))
    need("sink_kind parquet", "arrow")
    from receiver.sinks.parquet import ParquetSink  # noqa: PLC0415

    return ParquetSink(_stage(settings.sink))


def _stage(place: str) -> Stage:
    """Where a sink's files go, in a folder or in an object store."""
    if not is_of_store(place):
        return Staging(Path(place))
    need(f"sink {place}", "arrow")
    from receiver.sinks.objects import ObjectStaging  # noqa: PLC0415
    from receiver.sinks.store import ObjectStore  # noqa: PLC0415

    return ObjectStaging(ObjectStore(StorePlace.parse(place)))


def _listen(settings: ReceiveSettings, security: RenewableSecurity) -> Listen:
    return Listen(
        settings.images,
        settings.captions,
        authenticate=security.authenticate,
        advertised=(settings.advertise_images, settings.advertise_captions),
        credentials=security.credentials,
        options=server_options(settings.limits),
        reflection=settings.reflection,
        server=f"sidewire {VERSION}",
    )


def _terms(settings: ReceiveSettings, pool: DecoderPool, codecs: Sequence[CodecId]) -> Terms:
    return Terms(
        limits=settings.limits,
        policy=JoinPolicy(settings.caption_wait, settings.mode == "refine", _reads(pool)),
        quota=settings.quota,
        caption_ttl=settings.caption_ttl,
        codecs=codecs,
        any_model=isinstance(pool, NoOpPool),
        text_encoder=settings.text_encoder or _text_encoder(codecs),
        gateways=settings.gateways,
        address=settings.self_address,
    )


def _reads(pool: DecoderPool) -> Callable[[bytes], bool]:
    """Whether a container's decoder reads words, as the pool is when it is asked."""

    def reads(container: bytes) -> bool:
        name = stream_name(Container.from_bytes(container).header.codec_id)
        return all(one.text_encoder_id or one.name != name for one in pool.codecs)

    return reads


def _text_encoder(codecs: Sequence[CodecId]) -> str:
    """The decoders' text encoder, empty if none of them reads words."""
    return next((one.text_encoder_id for one in codecs if one.text_encoder_id), "")


async def receive(
    settings: ReceiveSettings,
    stop: asyncio.Event,
    ready: Callable[[Addresses], None],
    *,
    pool: DecoderPool | None = None,
    sink: Sink | None = None,
    observer: Observer | None = None,
    security: RenewableSecurity | None = None,
) -> Left:
    """Serve until ``stop`` is set, then drain.

    Args:
        ready: called once, when senders may come.
        pool, sink: instead of those that the settings ask for; started or recovered here, and closed.
        security: where somebody renews it; by default the settings' files are read once.

    Raises:
        SidewireError: an address, a folder, a bundle or the ledger cannot be used.
    """
    security = security or RenewableSecurity(settings.security)
    listen = _listen(settings, security)
    async with AsyncExitStack() as stack:
        watch = Watch(settings, listen.server.removeprefix("sidewire "), observer, stack)
        ledger = Ledger(settings.state / "ledger.sqlite", settings.late_window, time.time)
        stack.callback(ledger.close)
        try:
            sink = sink or make_sink(settings)
            sink.recover(ledger.connection)
        except OSError as error:
            why = error.strerror or error
            raise SidewireError(f"cannot use the sink {settings.sink}: {why}") from None
        stack.callback(sink.close)
        pool = pool or make_pool(settings)
        stack.push_async_callback(pool.close)
        say_starting(settings, ledger, pool)
        codecs = await _unless(stop, pool.start())
        if codecs is None:
            return Left(0, 0)
        for codec in pool.codecs:
            if not codec.text_encoder_id:
                log.info("streams of %s are decoded without words, and wait for none", codec.name)
        delivery = None
        if isinstance(sink, SubscriberSink):
            delivery = DeliveryServicer(ledger.path, sink, listen.authenticate, watch.observer)
            stack.callback(delivery.close)
        build = partial(Pipeline, ledger, sink, pool, settings.commit_rows, observer=watch.observer)
        terms = _terms(settings, pool, codecs)
        gateway = Gateway(listen, terms, ledger, build, delivery, watch.tallies)
        stack.push_async_callback(gateway.close)
        stack.enter_context(watched_handshakes(watch.observer.refused))
        metrics = await stack.enter_async_context(watch.at(gateway))
        images, captions = await gateway.start()
        addresses = Addresses(images, captions, metrics)
        say_ready(addresses, security.current, pool, codecs)
        ready(addresses)
        return await _run(gateway, stop, settings.drain_seconds)


async def _unless(stop: asyncio.Event, start: Awaitable[T]) -> T | None:
    """What comes of a start, which may have to wait; None where ``stop`` is set before."""
    starting, stopping = asyncio.ensure_future(start), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        return await starting if starting.done() else None
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)


async def _run(gateway: Gateway, stop: asyncio.Event, drain_seconds: float) -> Left:
    running = asyncio.create_task(gateway.run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            try:
                running.result()
            except* SidewireError as group:
                raise first_of(group) from None
        log.info("draining for up to %g s", drain_seconds)
        return await gateway.drain(drain_seconds)
    finally:
        for task in (running, stopping):
            task.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)


def serve(
    settings: ReceiveSettings,
    *,
    pool: DecoderPool | None = None,
    observer: Observer | None = None,
) -> None:
    """The command: until SIGTERM or SIGINT, its addresses as a line of JSON on standard output.

    Raises:
        SidewireError: as :func:`receive`. WorkLeftError: the drain ended before the work did.
    """
    log_to_standard_error(settings.log_format, LOG_FORMAT, settings.log_level)
    with only_one(settings.state):
        left = asyncio.run(_until_signalled(settings, pool, observer))
    what = f"{left.frames} pictures and {left.captions} captions were held; their senders have them"
    if left.frames:
        raise WorkLeftError(f"drained: {what}")
    log.info("drained: %s", what)


async def _until_signalled(
    settings: ReceiveSettings, pool: DecoderPool | None, observer: Observer | None
) -> Left:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    security = RenewableSecurity(settings.security)
    loop.add_signal_handler(signal.SIGHUP, security.renew)
    return await receive(
        settings, stop, _print_ready, pool=pool, observer=observer, security=security
    )


def _print_ready(addresses: Addresses) -> None:
    found = {name: address for name, address in asdict(addresses).items() if address}
    print(json.dumps({"ready": True} | found), flush=True)
