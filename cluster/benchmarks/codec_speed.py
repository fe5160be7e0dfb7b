"""Encode + decode of one 768x512 picture: ``base`` against CompressAI's ``mbt2018_mean``.

    python -m cluster.benchmarks.codec_speed [--threads 2]

Same process, same threads, same picture, in turn. ``base`` goes from uint8 pixels to the
container's bytes and back, checksum and all; CompressAI from a float tensor to its strings and
back. Its weights are untrained (they live on a hub): its networks take the time that they take, and
its coder codes as many symbols.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice

import numpy as np
import torch
from compressai.zoo import mbt2018_mean

from cluster.benchmarks.timing import interleaved_medians
from cluster.feeds import KODAK_FEED
from shared.codecs import get_codec
from shared.feed import read_feed
from shared.pictures import picture_from_bytes

REPEATS = 15
QUALITY = 4


def main() -> None:
    """Print one JSON object with medians in milliseconds and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quality", type=int, default=QUALITY)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    row = next(islice(read_feed(KODAK_FEED), 7, 8))
    picture = picture_from_bytes(row.image)
    ours = get_codec("base")
    blob = ours.encode(picture, arguments.quality).blob

    theirs = mbt2018_mean(quality=4, metric="mse", pretrained=False).eval()
    theirs.update(force=True)
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        strings = theirs.compress(x)
        medians = interleaved_medians(
            {
                "base_encode": lambda: ours.encode(picture, arguments.quality),
                "base_decode": lambda: ours.decode(blob),
                "mbt2018_mean_compress": lambda: theirs.compress(x),
                "mbt2018_mean_decompress": lambda: theirs.decompress(**strings),
            },
            REPEATS,
        )
    base = medians["base_encode"] + medians["base_decode"]
    peer = medians["mbt2018_mean_compress"] + medians["mbt2018_mean_decompress"]
    found = {name: round(value, 1) for name, value in medians.items()}
    print(
        json.dumps(
            {
                "picture": row.id,
                "pixels": list(np.shape(picture)[:2]),
                "threads": arguments.threads,
                "quality": arguments.quality,
                **found,
                "times_faster": round(peer / base, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
