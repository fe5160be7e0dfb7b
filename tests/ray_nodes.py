"""Nodes of Ray as an operator starts them: the command ``ray start``, in process groups of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["RUNS", "kill_node", "start_node"]

#: What a node says when it has been started.
RUNS = "Ray runtime started"
STORE_BYTES = 100_000_000


def start_node(
    address: str,
    *options: str,
    log: Path,
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """A node that begins to start.

    Args:
        address: its own.
        log: file that it adds to what it says.
        before: words before the command, such as those that choose a network namespace.
    """
    ray = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start"]
    common = (
        "--block",
        f"--node-ip-address={address}",
        f"--object-store-memory={STORE_BYTES}",
    )
    with log.open("ab") as said:
        return subprocess.Popen(
            [*before, *ray, *common, *options],
            stdout=said,
            stderr=said,
            env=environment,
            start_new_session=True,
        )


def kill_node(node: subprocess.Popen[bytes]) -> None:
    """SIGKILL for all of it, if it has not ended, and wait until it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()
