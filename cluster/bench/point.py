"""One number of decoders under the load: a gateway in this process, senders beside it, and repeats."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.bench.bare import BareLoop
from cluster.bench.bare_process import MOST_PICTURES, BareSpec
from cluster.bench.feed import BenchFeed
from cluster.bench.measured import Repeat
from cluster.bench.options import BenchOptions
from cluster.bench.rates import achieved
from cluster.bench.remote_senders import ClusterWorkplace
from cluster.bench.repeats import mean_interval, relative_width
from cluster.bench.rows import FrameRow, RunPlace, frame_rows
from cluster.bench.senders import LoadSenders, Round
from cluster.bench.watch import GatewayWatch
from cluster.bench.workplace import BESIDE, LocalWorkplace, Spread, Workplace
from cluster.demo.run import pool_of
from cluster.progress import FramesEnded, Meter
from receiver.decoders.worker import DecodingSettings, PictureFormat
from receiver.observer import Observers
from receiver.serve import Addresses, receive
from receiver.settings import ReceiveSettings
from sender.encode_worker import CodecSettings
from shared.errors import SidewireError, first_of

__all__ = ["Ground", "Measured", "measure_point", "pictures_at_least"]


@dataclass
class Measured:
    """What is known of a number of decoders so far: its repeats, the models' ids by codec, and how far
    the senders were."""

    repeats: list[Repeat] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)
    spread: Spread = BESIDE


@dataclass(frozen=True)
class Ground:
    """What a point is measured on.

    Attributes:
        folder: for ledger, journals and pictures.
        meter: is told how far it is.
    """

    options: BenchOptions
    decoders: int
    feed: BenchFeed
    folder: Path
    meter: Meter

    @property
    def pictures(self) -> Path | None:
        """Where decoded pictures go."""
        return self.folder / "pictures" if self.options.sink == "folder" else None

    @property
    def on_cluster(self) -> bool:
        """Whether senders are elsewhere than the gateway, and reach it over the cluster's network."""
        return self.options.sender_kind == "ray"

    def tell(self, what: str) -> None:
        """How far it is."""
        self.meter.say(f"decoders: {self.decoders}, {what}")


def pictures_at_least(options: BenchOptions, feed: BenchFeed) -> int:
    """Pictures of all senders, those of the warm-up too, if the least number of repeats is enough."""
    return options.senders * (len(feed.pixels) + options.repeats * feed.frames)


async def measure_point(ground: Ground, namespace: str, measured: Measured) -> None:
    """Start all processes, measure repeats, and end them.

    Args:
        namespace: of decoders on Ray, which is connected where they are there.
        measured: grows by a repeat as each is done.

    Raises:
        SidewireError: a part cannot work; the message says which.
    """
    workplace = ClusterWorkplace(ground.feed.path) if ground.on_cluster else LocalWorkplace()
    settings = _receive_settings(ground, namespace, workplace.host)
    pool = pool_of(settings)
    pool.batch_limit = ground.options.batch
    watch, stop = GatewayWatch(), asyncio.Event()
    ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    try:
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(
                receive(
                    settings,
                    stop,
                    ready.set_result,
                    pool=pool,
                    observer=Observers(watch, FramesEnded(ground.meter)),
                )
            )
            try:
                await _measure(ground, workplace, await ready, watch, measured)
            finally:
                stop.set()
                await asyncio.wait([receiving])
    except* SidewireError as errors:
        raise first_of(errors) from None


def _receive_settings(ground: Ground, namespace: str, host: str) -> ReceiveSettings:
    options = ground.options
    return ReceiveSettings(
        images=f"{host}:0",
        captions=f"{host}:0",
        plaintext_on_the_network=ground.on_cluster,
        state=ground.folder / "receiver",
        sink=ground.pictures,
        sink_kind=options.sink,
        caption_wait=options.caption_wait if options.captions else 0.0,
        decoder=options.decoder,
        decoder_processes=ground.decoders,
        ray_address=options.ray_address,
        ray_namespace=namespace,
        generator=options.generator,
    )


async def _measure(
    ground: Ground,
    workplace: Workplace,
    addresses: Addresses,
    watch: GatewayWatch,
    measured: Measured,
) -> None:
    senders = LoadSenders(
        ground.options, workplace, ground.feed, addresses, ground.folder / "senders"
    )
    bare = _bare_loop(ground)
    try:
        ground.tell("starting the senders")
        measured.models = await senders.start()
        if bare is not None:
            ground.tell("looking for the fastest bare loop")
            await bare.start()
        ground.tell("warming up")
        await senders.round("warm-up", 1, ())
        while not _known(measured.repeats, ground.options):
            if len(measured.repeats) >= ground.options.repeats:
                ground.meter.expect(ground.options.senders * ground.feed.frames)
            measured.repeats.append(
                await _repeat(ground, len(measured.repeats), senders, watch, bare)
            )
            measured.spread = workplace.spread
    finally:
        await senders.stop()
        if bare is not None:
            await bare.stop()


def _bare_loop(ground: Ground) -> BareLoop | None:
    """The bare loop; None where there is nothing to encode or to decode, or nobody asked."""
    options = ground.options
    if options.codec == "sealed" or options.decoder == "benchmark-noop" or not options.references:
        return None
    return BareLoop(
        lambda threads: BareSpec(
            feed=ground.feed.path,
            encoding=CodecSettings(options.codec, options.quality, threads),
            decoding=DecodingSettings(PictureFormat.PNG, None, threads, options.generator),
            words=options.captions,
            sink=ground.folder / "bare" if ground.pictures else None,
        )
    )


def _known(repeats: Sequence[Repeat], options: BenchOptions) -> bool:
    """Whether the rate is known well enough, or was looked for often enough."""
    found = mean_interval([achieved(repeat.rows) for repeat in repeats]) if repeats else None
    stable = found is not None and relative_width(found) <= options.width
    most = max(options.repeats, options.most_repeats)
    return len(repeats) >= (options.repeats if stable else most)


async def _repeat(
    ground: Ground, number: int, senders: LoadSenders, watch: GatewayWatch, bare: BareLoop | None
) -> Repeat:
    """The pipeline, and the bare loop after it."""
    sent = await senders.round(str(number), ground.feed.passes, bare.pids if bare else ())
    rows = _rows(ground, number, sent, watch)
    reference = await bare.rate(min(ground.feed.frames, MOST_PICTURES)) if bare else None
    shown = f"repeat {number + 1}: {achieved(rows):.2f} frames/s"
    ground.tell(shown + (f", bare loop {reference.frames_per_s:.2f}" if reference else ""))
    if ground.pictures:
        for stream in sent.streams:
            shutil.rmtree(ground.pictures / stream, ignore_errors=True)
    return Repeat(
        rows=rows,
        resent=sum(report.resent for report in sent.reports),
        stalls=[stall for report in sent.reports for stall in report.stalls],
        failed=[line for report in sent.reports for line in report.failed],
        captions=sent.captions,
        cores=sent.usage.cores,
        gpu=sent.usage.gpu,
        bare=reference,
    )


def _rows(ground: Ground, number: int, sent: Round, watch: GatewayWatch) -> Sequence[FrameRow]:
    rows: list[FrameRow] = []
    for sender, (stream, report) in enumerate(zip(sent.streams, sent.reports, strict=True)):
        place = RunPlace(ground.decoders, number, sender, ground.options.warmup)
        seen = watch.take(stream)
        rows += frame_rows(place, sent.start, ground.feed.pixels, report.frames, seen)
    return rows
