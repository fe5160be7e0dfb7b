"""Frames a second through the gateway, against a bare echo of the same bytes in the same run.

    python -m cluster.benchmarks.wire [--frames 20000] [--repeats 3]

``sidewire receive`` with the decoder that does nothing, ``sidewire send`` with sealed containers of 5 KB and
its caption publisher: every frame is journalled, sent, checked, joined with its caption, committed to the
ledger with its container kept for late captions, and acked. The echo has the same two streams and
connections and the same three processes, and sends every message back. Rates count from the first
attach to the last ack (echo: from the first to the last message).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from cluster.benchmarks.echo import echo_seconds
from cluster.trials.feed import write_feed
from cluster.trials.frames import frame, words
from cluster.trials.processes import receiver, result
from shared.wire.checksums import caption_crc, frame_crc
from shared.wire.v1 import caption_channel_pb2, image_channel_pb2

__all__ = ["main"]

#: Different frames in the feed; it is repeated.
ROWS = 500
GRPC_PREFIX = 5


def messages(rows: int, payload_bytes: int) -> tuple[list[bytes], list[bytes]]:
    """The same frames and captions as they are on the wire."""
    pictures, captions = [], []
    for seq in range(rows):
        one, text = frame(seq, payload_bytes), words(seq)
        picture = image_channel_pb2.ImageFrame(
            seq=seq,
            content_id=one.content_id,
            name=one.name,
            expects_caption=True,
            container=one.container,
        )
        picture.crc32c = frame_crc("bench", 1, picture)
        caption = caption_channel_pb2.Caption(
            seq=seq, content_id=text.content_id, revision=1, text=text.text
        )
        caption.crc32c = caption_crc("bench", 1, caption)
        request = image_channel_pb2.StreamImagesRequest(frame=picture)
        pictures.append(request.SerializeToString())
        captions.append(
            caption_channel_pb2.StreamCaptionsRequest(caption=caption).SerializeToString()
        )
    return pictures, captions


def sidewire_rate(folder: Path, feed: Path, frames: int, sink_kind: str) -> float:
    """Frames a second, joined, committed and acked."""
    options = ["decoder=benchmark-noop", "caption_wait=600", f"sink_kind={sink_kind}"]
    settings = [word for one in options for word in ("--set", one)]
    with receiver(folder / "state", "--sink", folder / "sink", *settings) as running:
        sent = result(
            [
                *("send", "--feed", feed, "--codec", "sealed", "--repeat", frames // ROWS),
                *("--images", running.images, "--captions", running.captions),
                *("--state", folder / "journal"),
            ]
        )
    joined = sent["decoded_with_text"]
    if joined != frames:
        raise RuntimeError(f"{joined} of {frames} frames were joined: {sent}")
    return float(frames / sent["seconds"])


def main() -> None:
    """Print one JSON object: rates, their ratio, and the wire's overhead a frame."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--payload", type=int, default=5000)
    parser.add_argument("--sink-kind", default="none")
    arguments = parser.parse_args()
    frames = arguments.frames // ROWS * ROWS
    pictures, captions = messages(ROWS, arguments.payload)
    ours, echo = [], []
    with tempfile.TemporaryDirectory() as name:
        feed = Path(name) / "bench.parquet"
        write_feed(feed, ROWS, arguments.payload)
        for number in range(arguments.repeats):
            echo.append(frames / echo_seconds((pictures, captions), frames))
            folder = Path(name) / str(number)
            ours.append(sidewire_rate(folder, feed, frames, arguments.sink_kind))
    sizes = [
        len(message) + GRPC_PREFIX - len(frame(seq, arguments.payload).container)
        for seq, message in enumerate(pictures)
    ]
    print(
        json.dumps(
            {
                "frames": frames,
                "sink": arguments.sink_kind,
                "sidewire_frames_per_s": [round(rate) for rate in ours],
                "echo_frames_per_s": [round(rate) for rate in echo],
                "ratio": round(statistics.median(ours) / statistics.median(echo), 3),
                "overhead_bytes_a_frame": max(sizes),
            }
        )
    )


if __name__ == "__main__":
    main()
