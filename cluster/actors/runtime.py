"""Ray's start, the same for a cluster that is there and for one that lives as long as this process."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
import ray._private.worker as ray_worker

import cluster
from cluster.ending import leave_behind
from shared.errors import SidewireError

__all__ = ["ClusterError", "Connection", "connected", "cpus", "gpus", "take_signals_back"]

log = logging.getLogger("sidewire.ray")

#: Batches and pictures on their way; what does not fit would go to disk.
STORE_BYTES = 256 << 20
#: Its reports of use stay at home, and a GPU that an actor did not ask for is not hidden with a warning.
#: Ray would run its workers at niceness 15: beside an encoder they would get next to nothing of a core.
#: It would also start a worker a CPU beforehand: with an environment other than our actors', they stay idle.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
    "RAY_prestart_worker_first_driver": "0",
}
#: Seconds in which something must listen at the address of a cluster.
PROBE_SECONDS = 8.0
#: Seconds that Ray may take to join a cluster whose address answers, and to start one, all tries together.
JOIN_SECONDS = 30.0
START_SECONDS = 300.0
#: Tries to start a cluster: Ray's own half minutes that there is time for, with some to say what was wrong.
STARTS = 8
#: Seconds that leaving may take: with a head that is gone Ray waits for an answer that never comes.
LEAVE_SECONDS = 3.0
#: What Ray says where its node has not begun within its half minute: a machine that is busy may yet do it.
SLOW = "timed out during startup"
#: What Ray says where the paths of its sockets are longer than the 107 bytes that the system takes.
LONG_PATH = "AF_UNIX path"


class ClusterError(SidewireError):
    """No Ray cluster can be started or reached, or it has ended."""


class Connection:
    """This process as a driver of Ray, on a cluster that is there or on one of its own.

    All of Ray's starts and ends happen on one thread, which lives as long as the connection: the kernel ends
    what a thread has started when that thread ends. Ray listens on all addresses of the machine, and lets
    in who has the token that it makes for its user.

    Args:
        address: as Ray takes it, such as ``auto`` or host:port; empty to start a cluster here.
        cpus: of a cluster that is started here; those of this process by default.
    """

    def __init__(self, address: str, namespace: str, cpus: int | None) -> None:
        self.own = not address
        self._address = address
        self._namespace = namespace
        self._cpus = cpus or len(os.sched_getaffinity(0))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ray")

    def start(self) -> None:
        """Join the cluster, or start it.

        Raises:
            ClusterError: nothing answers at the address, or Ray cannot be started.
        """
        if self.own:
            self._wait(self._thread.submit(self._start_own, SLOW), START_SECONDS)
        else:
            self._wait(self._thread.submit(_probe, self._address), PROBE_SECONDS)
            self._wait(self._thread.submit(self._init), JOIN_SECONDS)

    def restart(self) -> Future[None]:
        """Let go of a cluster of its own that has ended, and start another; from any thread.

        Raises (the future):
            ClusterError: as :meth:`start`.
        """
        return self._thread.submit(self._start_own)

    def stop(self) -> None:
        """Leave; a cluster that was started here ends."""
        leaving = self._thread.submit(ray.shutdown)
        try:
            leaving.result(LEAVE_SECONDS)
        except TimeoutError:
            log.info("Ray does not let go of its cluster in %g s", LEAVE_SECONDS)
            leave_behind()
        else:
            self._thread.shutdown()

    def _start_own(self, passing: str = "") -> None:
        """Start a cluster; again where a failure says ``passing``, and by default after any."""
        for attempt in range(STARTS):
            ray.shutdown()  # of one that has ended
            try:
                self._init()
                return
            except ClusterError as error:
                if attempt + 1 == STARTS or passing not in str(error):
                    raise
                log.warning("%s; trying again", error)

    def _wait(self, work: Future[None], seconds: float) -> None:
        try:
            work.result(seconds)
        except TimeoutError:
            leave_behind()
            raise ClusterError(f"{self._what}: no answer within {seconds:g} s") from None

    @property
    def _what(self) -> str:
        return "cannot start Ray" if self.own else f"cannot reach a Ray cluster at {self._address}"

    def _init(self) -> None:
        # Actors import these packages from where this process has them: nothing is uploaded.
        home = str(Path(cluster.__file__).parents[1])
        path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
        if self.own:
            options: dict[str, Any] = {
                "address": "local",
                "num_cpus": self._cpus,
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
            }
        else:
            options = {"address": self._address}
        # Ray has no setting for this, and looks the function up there for each message.
        setattr(ray_worker, "print_to_stdstream", _log_message)  # noqa: B010 - to mypy it is a constant
        try:
            ray.init(
                **options,
                namespace=self._namespace,
                runtime_env={"env_vars": {"PYTHONPATH": path}},
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except Exception as error:  # Ray raises all kinds, also Exception itself
            raise ClusterError(f"{self._what}: {self._reason(error)}") from None

    def _reason(self, error: Exception) -> str:
        why = " ".join(str(error).split())
        if LONG_PATH in why:
            return (
                f"its folder for sockets has too long a path ({len(why.rpartition(':')[2].strip())}"
                " bytes with their names, must be at most 107): set RAY_TMPDIR to a short one, such as /tmp"
            )
        if self.own:
            return why
        return f"{why} (if it asks for Ray's token, set RAY_AUTH_MODE=token)"


@contextmanager
def connected(
    address: str = "", namespace: str = "sidewire", cpus: int | None = None
) -> Iterator[Connection]:
    """A :class:`Connection` that is started now and stopped at the end.

    Raises:
        ClusterError: as :meth:`Connection.start`.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    connection = Connection(address, namespace, cpus)
    connection.start()
    try:
        yield connection
    finally:
        connection.stop()


def take_signals_back() -> None:
    """Give SIGTERM and SIGINT back to this program's handlers after Ray's start; main thread only."""
    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if handler is not None:
            signal.signal(number, handler)
        signal.siginterrupt(number, False)


def cpus() -> int:
    """CPUs of the cluster, as large as it is now."""
    return int(_resources().get("CPU", 0))


def gpus() -> float:
    """GPUs of the cluster, as large as it is now."""
    return _resources().get("GPU", 0.0)


def _resources() -> dict[str, float]:
    ask: Callable[[], dict[str, float]] = ray.cluster_resources
    return ask()


def _log_message(message: Mapping[str, Any], *, ignore_prefix: bool) -> None:
    """Log what Ray has to say of the cluster, such as that a node has ended: it would print that between the
    lines of JSON of a command's output."""
    for text in message["lines"]:
        log.warning("Ray: %s", text.strip())


def _probe(address: str) -> None:
    """Whether anything listens at a cluster's address: Ray itself asks a dead one for minutes.

    Raises:
        ClusterError: nothing does, or there is no such address.
    """
    from ray._private.services import (  # noqa: PLC0415 - what ray.init makes of an address itself
        canonicalize_bootstrap_address_or_die,
    )

    try:
        found = address if "://" in address else canonicalize_bootstrap_address_or_die(address)
        place = urlsplit(found if "://" in found else f"ray://{found}")
        host, port = place.hostname, place.port
    except ConnectionError:
        raise ClusterError("no Ray cluster runs on this machine: ray_address is auto") from None
    except (ValueError, OSError):
        host = port = None
    if not host or not port:
        raise ClusterError(
            f"ray_address is {address!r}, must be auto or HOST:PORT of a Ray cluster"
        )
    try:
        socket.create_connection((host, port), PROBE_SECONDS / 2).close()
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster at ray_address {address!r}: nothing answers at {host}:{port}"
            f" ({error.strerror or error})"
        ) from None
