"""Encode + decode of one picture: a codec of ours against CompressAI's ``mbt2018_mean``.

Same process, same threads, same picture, in turn. Ours goes from uint8 pixels to the container's bytes
and back, checksum and all; CompressAI from a float tensor to its strings and back. Its weights are
untrained (they live on a hub): its networks take the time that they take, and its coder codes as many
symbols.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cluster.benchmarks.timing import interleaved_medians
from shared.feed import read_feed
from shared.pictures import Picture, picture_from_bytes
from shared.workers import WorkerProcess

__all__ = ["PeerSpeed", "compare_with_peer", "peer_speed"]

#: Of CompressAI: 128 and 192 channels.
PEER_QUALITY = 4
REPEATS = 15
SECONDS = 3600.0


@dataclass(frozen=True)
class PeerSpeed:
    """Medians in milliseconds; how many times as many pictures a second ours encodes and decodes."""

    codec: str
    quality: int
    threads: int
    width: int
    height: int
    encode_ms: float
    decode_ms: float
    compressai_encode_ms: float
    compressai_decode_ms: float
    times_faster: float


def compare_with_peer(
    codec: str, quality: int | None, threads: int, picture: Picture, repeats: int = REPEATS
) -> PeerSpeed:
    """Measure both, in this process.

    Raises:
        UnknownCodecError, QualityError, BundleError: there is no such codec or quality.
    """
    import torch  # noqa: PLC0415

    from shared.codecs import get_codec  # noqa: PLC0415
    from training.recipes.peer import compressai_mean_scale, network_input  # noqa: PLC0415

    torch.set_num_threads(threads)
    ours = get_codec(codec)
    level = ours.default_quality if quality is None else quality
    blob = ours.encode(picture, level).blob
    theirs = compressai_mean_scale(PEER_QUALITY).eval()
    theirs.update(force=True)
    height, width = picture.shape[:2]
    x = network_input(picture)
    with torch.inference_mode():
        strings = theirs.compress(x)
        medians = interleaved_medians(
            {
                "encode": lambda: ours.encode(picture, level),
                "decode": lambda: ours.decode(blob),
                "compress": lambda: theirs.compress(x),
                "decompress": lambda: theirs.decompress(**strings),
            },
            repeats,
        )
    encode, decode, compress, decompress = medians.values()
    return PeerSpeed(
        codec=codec,
        quality=level,
        threads=threads,
        width=width,
        height=height,
        encode_ms=encode,
        decode_ms=decode,
        compressai_encode_ms=compress,
        compressai_decode_ms=decompress,
        times_faster=(compress + decompress) / (encode + decode),
    )


async def peer_speed(codec: str, quality: int | None, feed: Path) -> PeerSpeed:
    """Compare speeds on a feed's first picture, on all cores, in a process of its own.

    Raises:
        SidewireError: as :func:`compare_with_peer`, or the picture cannot be read.
    """
    threads = len(os.sched_getaffinity(0))
    build = partial(_build, codec, quality, threads, feed)
    process: WorkerProcess[None, None, PeerSpeed] = WorkerProcess("comparison", build, SECONDS)
    await process.start()
    try:
        return await process.ask(None)
    finally:
        await process.stop()


def _build(
    codec: str, quality: int | None, threads: int, feed: Path
) -> tuple[None, Callable[[None], PeerSpeed]]:
    picture = picture_from_bytes(next(iter(read_feed(feed))).image)
    return None, lambda _: compare_with_peer(codec, quality, threads, picture)
