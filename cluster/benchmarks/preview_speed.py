"""Previews against BlurHash and a tiny WebP copy, made and drawn in turn in one process.

python -m cluster.benchmarks.preview_speed --limit 50 --threads 1
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from PIL import Image

from cluster.feeds import KODAK_FEED
from shared.codecs import get_codec
from shared.codecs.preview import picture_of, preview
from shared.feed import read_feed
from shared.pictures import Picture, picture_from_bytes

__all__ = ["main"]

#: Edge of the pictures, and how often each is made and drawn.
SIDE, REPEATS = 224, 15
#: Levels of the others of about fifty bytes.
OTHERS = {"baseline/blurhash": 54, "baseline/webp-copy": 16}


def main() -> None:
    """Print one JSON object a contender: median milliseconds to make and to draw, and bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=50, help="bytes of our previews")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    makers: dict[str, Callable[[Picture], bytes]] = {
        "base": lambda picture: preview(picture, arguments.limit).blob
    }
    drawers: dict[str, Callable[[bytes], Picture]] = {"base": picture_of}
    for name, level in OTHERS.items():
        codec = get_codec(name)
        makers[name] = lambda picture, codec=codec, level=level: codec.encode(picture, level).blob  # type: ignore[misc]
        drawers[name] = lambda blob, codec=codec: codec.decode(blob).picture  # type: ignore[misc]
    made: dict[str, list[float]] = {name: [] for name in makers}
    drawn: dict[str, list[float]] = {name: [] for name in makers}
    sizes: dict[str, list[int]] = {name: [] for name in makers}
    for picture in _pictures():
        for turn in range(REPEATS + 1):
            for name, make in makers.items():
                start = time.perf_counter()
                blob = make(picture)
                between = time.perf_counter()
                drawers[name](blob)
                end = time.perf_counter()
                if turn:  # the first is a warm-up
                    made[name].append(1e3 * (between - start))
                    drawn[name].append(1e3 * (end - between))
                    sizes[name].append(len(blob))
    for name in makers:
        row = {
            "codec": name,
            "make_ms": round(median(made[name]), 2),
            "draw_ms": round(median(drawn[name]), 2),
            "bytes": round(float(np.mean(sizes[name])), 1),
        }
        print(json.dumps(row))


def _pictures() -> list[Picture]:
    found = []
    for row in read_feed(KODAK_FEED):
        image = Image.fromarray(picture_from_bytes(row.image)).resize((SIDE, SIDE))
        found.append(np.asarray(image))
    return found


if __name__ == "__main__":
    main()
