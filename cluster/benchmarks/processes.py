"""Real receivers and senders for benchmarks: the ``sidewire`` command in processes of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Receiver", "command", "receiver", "result"]

START_SECONDS = 120
STOP_SECONDS = 60


@dataclass(frozen=True)
class Receiver:
    """A receiver that listens."""

    process: subprocess.Popen[str]
    images: str
    captions: str


def command(*words: object) -> list[str]:
    """``sidewire`` with these words, by this interpreter."""
    return [sys.executable, "-c", "from cluster.cli import main; main()", *map(str, words)]


def start_receiver(state: Path, *words: object, log: Path | None = None) -> Receiver:
    """Start ``sidewire receive`` and wait until it listens."""
    options = ["--set", "log_level=warning"]
    process = subprocess.Popen(
        command("receive", "--state", state, *options, *words),
        stdout=subprocess.PIPE,
        stderr=log.open("a") if log else None,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the receiver ended with code {process.wait()}")
    ready = json.loads(line)
    return Receiver(process, ready["images"], ready["captions"])


@contextmanager
def receiver(state: Path, *words: object) -> Iterator[Receiver]:
    """A receiver on free ports of this machine; drained at the end."""
    free = ["--images", "127.0.0.1:0", "--captions", "127.0.0.1:0"]
    running = start_receiver(state, *free, *words)
    try:
        yield running
    finally:
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(STOP_SECONDS)


def result(words: Sequence[object]) -> dict[str, Any]:
    """Run a command with ``--json`` to its end; the object that it prints."""
    done = subprocess.run(command(*words, "--json"), check=True, stdout=subprocess.PIPE, text=True)
    values: dict[str, Any] = json.loads(done.stdout)
    return values
