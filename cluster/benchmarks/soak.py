"""Memory of receiver, sender and caption publisher over minutes of traffic.

    python -m cluster.benchmarks.soak [--minutes 10] [--rate R]

``sidewire receive`` with the decoder that does nothing, ``sidewire send`` with sealed containers of 5 KB and
``sidewire captions``, each at ``--rate`` messages a second: by default half of what the three reach in a
short burst before. Each process's resident memory is read every second; a line through what was read after
the warm-up says by how much it grows. The warm-up ends when containers kept for late captions are first let
go (the late window), or after a third of a shorter run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.benchmarks.wire import ROWS, sidewire_rate
from cluster.trials.feed import write_feed
from cluster.trials.processes import Program, receiver

__all__ = ["main", "resident_bytes"]

BURST_FRAMES = 10_000
PAYLOAD_BYTES = 5000
LATE_WINDOW = 60.0
SAMPLE_SECONDS = 1.0
MEGABYTE = 1e6


def resident_bytes(pid: int) -> int:
    """A process's resident memory now, as proc(5) has it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.split()[0]) << 10
    raise RuntimeError(f"process {pid} has no resident memory: it has ended")


@dataclass
class Memory:
    """One process's memory over time: seconds since the start, and megabytes."""

    program: Program
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    def sample(self, seconds: float) -> None:
        """Read it once more."""
        self.seconds.append(seconds)
        self.megabytes.append(resident_bytes(self.program.pid) / MEGABYTE)

    def growth(self, warm_up: float) -> float:
        """Megabytes a minute, by the line of least squares through what was read after ``warm_up``."""
        warm = [place for place, seconds in enumerate(self.seconds) if seconds >= warm_up]
        line = statistics.linear_regression(self.seconds[warm[0] :], self.megabytes[warm[0] :])
        return 60.0 * line.slope


def watch(memories: Sequence[Memory], seconds: float, sender: Program) -> None:
    """Sample until shortly before the work is done: a process that ends gives its memory back."""
    start = time.monotonic()
    while (passed := time.monotonic() - start) < seconds and sender.running:
        for memory in memories:
            memory.sample(passed)
        time.sleep(SAMPLE_SECONDS)


def soak(folder: Path, feed: Path, minutes: float, rate: float) -> Mapping[str, Any]:
    """What :func:`main` prints."""
    repeat = max(1, round(rate * 60 * minutes / ROWS))
    frames = repeat * ROWS
    options = ["decoder=benchmark-noop", "sink_kind=none", f"late_window={LATE_WINDOW}"]
    settings = [word for one in options for word in ("--set", one)]
    words = ("--feed", feed, "--repeat", repeat, "--rate", rate, "--json")
    with receiver(folder / "state", *settings, "--set", "caption_wait=600") as running:
        publisher = Program("captions", *words, "--to", running.captions)
        sender = Program(
            *("send", *words, "--images", running.images, "--state", folder / "journal"),
            *("--codec", "sealed", "--set", "expect_captions=true"),
        )
        programs = {"receiver": running.program, "sender": sender, "captions": publisher}
        memories = {name: Memory(program) for name, program in programs.items()}
        watch(list(memories.values()), frames / rate - 2 * SAMPLE_SECONDS, sender)
        sent, published = sender.line(), publisher.line()
    warm_up = min(LATE_WINDOW, 20.0 * minutes)
    result = {"minutes": minutes, "frames_per_s": round(frames / sent["seconds"], 1)}
    for name, memory in memories.items():
        result[f"{name}_mb_per_min"] = round(memory.growth(warm_up), 3)
    for name, memory in memories.items():
        result[f"{name}_rss_mb"] = round(memory.megabytes[-1], 1)
    # A picture or caption that ended in any other way than together counts as lost.
    joined = min(sent.get("decoded_with_text", 0), published.get("decoded_with_text", 0))
    return result | {"frames": frames, "lost": frames - joined}


def main() -> None:
    """Print one JSON object: rates, growth in megabytes a minute, memory at the end, and what was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, help="messages a second on each channel")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        feed = folder / "soak.parquet"
        write_feed(feed, ROWS, PAYLOAD_BYTES)
        rate = arguments.rate
        if rate is None:
            rate = sidewire_rate(folder / "burst", feed, BURST_FRAMES, "none") / 2
        print(json.dumps(soak(folder / "soak", feed, arguments.minutes, rate)))


if __name__ == "__main__":
    main()
