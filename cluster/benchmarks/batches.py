"""Pictures a second that codecs decode at each batch size, and encode one by one, on this device.

    python -m cluster.benchmarks.batches [--codecs base,ssa] [--sizes 768x512,1920x1080] [--batches 1,4,16,64]

On the GPU where there is one. In one process, all batch sizes in turn; from containers to pixels in
memory, entropy decoding and checksums with it. Pictures are cut from the Kodak set that ships, repeated
where it is smaller. Published on an A100, for 1920x1080: 44.2 frames a second (DCVC-RT-Intra) and
95.0 (DCVC-UF-Intra).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch

from cluster.benchmarks.timing import interleaved_medians
from cluster.feeds import KODAK_FEED
from shared.codecs import get_codec
from shared.feed import read_feed
from shared.networks.precision import default_device
from shared.pictures import Picture, picture_from_bytes

REPEATS = 5
CAPTION = "A red door in a pale wall"


@dataclass(frozen=True)
class BatchSpeed:
    """Medians; pictures a second by batch size."""

    codec: str
    width: int
    height: int
    encode_per_s: float
    decode_per_s: dict[int, float]


def pictures_of(width: int, height: int) -> list[Picture]:
    """The shipped Kodak pictures, at this size."""
    made = []
    for row in read_feed(KODAK_FEED):
        picture = picture_from_bytes(row.image)
        if (picture.shape[0] < picture.shape[1]) != (height < width):
            picture = picture.transpose(1, 0, 2)
        times = (-(-height // picture.shape[0]), -(-width // picture.shape[1]), 1)
        made.append(np.ascontiguousarray(np.tile(picture, times)[:height, :width]))
    return made


def measured(codec: str, width: int, height: int, batches: list[int]) -> BatchSpeed:
    """One codec at one size."""
    ours = get_codec(codec)
    pictures = pictures_of(width, height)
    blobs = [ours.encode(picture, ours.default_quality).blob for picture in pictures]

    def decode(count: int) -> None:
        batch = [blobs[index % len(blobs)] for index in range(count)]
        for outcome in ours.decoder.decode_batch(batch, [CAPTION] * count):
            if isinstance(outcome, Exception):
                raise outcome

    calls: dict[str, Callable[[], object]] = {
        "encode": partial(ours.encode, pictures[0], ours.default_quality)
    }
    calls |= {str(count): partial(decode, count) for count in batches}
    medians = interleaved_medians(calls, REPEATS)
    rates = {count: 1000 * count / medians[str(count)] for count in batches}
    return BatchSpeed(codec, width, height, 1000 / medians["encode"], rates)


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codecs", default="base,ssa")
    parser.add_argument("--sizes", default="768x512,1920x1080")
    parser.add_argument("--batches", default="1,4,16,64")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    batches = [int(word) for word in arguments.batches.split(",")]
    speeds = []
    for codec in arguments.codecs.split(","):
        for size in arguments.sizes.split(","):
            width, height = map(int, size.split("x"))
            speeds.append(asdict(measured(codec, width, height, batches)))
    device = default_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(json.dumps({"device": name, "threads": arguments.threads, "speeds": speeds}))


if __name__ == "__main__":
    main()
