"""Nodes of Ray as an operator starts them: the command ``ray start``, in process groups of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["STARTS", "kill_node", "start_node"]

#: What a node says when it has been started.
RUNS = "Ray runtime started"
STORE_BYTES = 100_000_000
#: Times that a node is started, the first included, before a test gives up.
STARTS = 4
LOOK_SECONDS = 0.1


def start_node(
    address: str,
    *options: str,
    home: Path,
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """A node that runs.

    One that has no core gives up: Ray lets its parts begin for half a minute at most. Then it is started
    again, as a service of the host would.

    Args:
        address: its own.
        home: folder for what it says.
        before: words before the command, such as those that choose a network namespace.
    """
    for attempt in range(STARTS):
        log = home / f"start-{attempt}.log"
        node = _begin(address, *options, log=log, before=before, environment=environment)
        while node.poll() is None:
            if RUNS in log.read_text():
                return node
            time.sleep(LOOK_SECONDS)
        kill_node(node)
    raise AssertionError(log.read_text())


def _begin(
    address: str,
    *options: str,
    log: Path,
    before: Sequence[str],
    environment: Mapping[str, str] | None,
) -> subprocess.Popen[bytes]:
    ray = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start"]
    common = (
        "--block",
        f"--node-ip-address={address}",
        f"--object-store-memory={STORE_BYTES}",
    )
    with log.open("wb") as said:
        return subprocess.Popen(
            [*before, *ray, *common, *options],
            stdout=said,
            stderr=said,
            env=environment,
            start_new_session=True,
        )


def kill_node(node: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """SIGKILL for all of it, if it has not ended, and wait until it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()
