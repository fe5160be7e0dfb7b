"""Encode + decode of one 768x512 picture: ``base`` against CompressAI's ``mbt2018_mean``.

    python -m cluster.benchmarks.codec_speed [--threads 2]

See :mod:`cluster.bench.peer` for what is compared.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from itertools import islice

from cluster.bench.peer import compare_with_peer
from cluster.feeds import KODAK_FEED
from shared.feed import read_feed
from shared.pictures import picture_from_bytes

QUALITY = 16


def main() -> None:
    """Print one JSON object with medians in milliseconds and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quality", type=int, default=QUALITY)
    arguments = parser.parse_args()
    row = next(islice(read_feed(KODAK_FEED), 7, 8))
    picture = picture_from_bytes(row.image)
    found = compare_with_peer("base", arguments.quality, arguments.threads, picture)
    print(json.dumps({"picture": row.id} | asdict(found)))


if __name__ == "__main__":
    main()
