"""Nodes of Ray as an operator starts them: the command ``ray start``, in process groups of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

__all__ = ["NotStartedError", "kill_node", "start_node", "until_started"]

#: What a node says when it has been started.
RUNS = "Ray runtime started"
STORE_BYTES = 100_000_000
LOOK_SECONDS = 0.1
#: Time after which a node is not started once more, and the test gives up.
START_SECONDS = 600.0

Node = TypeVar("Node")


class NotStartedError(AssertionError):
    """A node gave up."""


def until_started(start: Callable[[], Node]) -> Node:
    """What ``start`` returns, called again while it raises `NotStartedError`.

    Ray lets a node's parts begin for half a minute at most, and gives up on a machine that is busy. A service
    of the host would start it again, too.
    """
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            return start()
        except NotStartedError:
            if time.monotonic() > end:
                raise


def start_node(
    address: str,
    *options: str,
    home: Path,
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """A node that runs.

    Args:
        address: its own.
        home: folder for what it says.
        before: words before the command, such as those that choose a network namespace.
    """
    log = home / "start.log"

    def start() -> subprocess.Popen[bytes]:
        node = _begin(address, *options, log=log, before=before, environment=environment)
        while node.poll() is None:
            if RUNS in log.read_text():
                return node
            time.sleep(LOOK_SECONDS)
        kill_node(node)
        raise NotStartedError(log.read_text())

    return until_started(start)


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
        # Nobody reads what workers print, and starting what passes it on takes two seconds of a core.
        "--include-log-monitor=false",
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
