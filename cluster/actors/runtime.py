"""Ray's start, the same for a cluster that is there and for one that lives as long as this process."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

import cluster
from shared.errors import SidewireError

__all__ = ["ClusterError", "connected", "cpus", "gpus"]

#: Batches and pictures on their way; what does not fit would go to disk.
STORE_BYTES = 256 << 20
#: Its reports of use stay at home, and a GPU that an actor did not ask for is not hidden with a warning.
#: Ray would run its workers at niceness 15: beside an encoder they would get next to nothing of a core.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
}


class ClusterError(SidewireError):
    """No Ray cluster can be started or reached."""


@contextmanager
def connected(
    address: str = "", namespace: str = "sidewire", cpus: int | None = None
) -> Iterator[None]:
    """This process as a driver of Ray; call it from the main thread, before any loop runs.

    A cluster that is started here ends with this process; one that is joined goes on. Ray listens on all
    addresses of the machine, and lets in who has the token that it makes for its user. It takes SIGTERM for
    itself: a program that drains sets its own handler after.

    Args:
        address: as Ray takes it, such as ``auto`` or host:port; empty to start a cluster here.
        cpus: of a cluster that is started here; those of this process by default.

    Raises:
        ClusterError: there is none at the address, or none can be started.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Actors import these packages from where this process has them: nothing is uploaded.
    home = str(Path(cluster.__file__).parents[1])
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    runtime_env = {"env_vars": {"PYTHONPATH": path}}
    if address:
        options: dict[str, Any] = {"address": address}
    else:
        options = {
            "address": "local",
            "num_cpus": cpus or len(os.sched_getaffinity(0)),
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
        }
    options |= {"namespace": namespace, "runtime_env": runtime_env, "log_to_driver": False}
    try:
        ray.init(**options, logging_level=logging.ERROR)
    except (
        Exception
    ) as error:  # Ray raises all kinds, Exception itself where the start took too long
        why = " ".join(str(error).split())
        if address:
            raise ClusterError(
                f"cannot reach a Ray cluster at {address}: {why}"
                " (if it asks for Ray's token, set RAY_AUTH_MODE=token)"
            ) from None
        raise ClusterError(f"cannot start Ray: {why}") from None
    try:
        yield
    finally:
        ray.shutdown()


def cpus() -> int:
    """CPUs of the cluster, as large as it is now."""
    return int(_resources().get("CPU", 0))


def gpus() -> float:
    """GPUs of the cluster, as large as it is now."""
    return _resources().get("GPU", 0.0)


def _resources() -> dict[str, float]:
    ask: Callable[[], dict[str, float]] = ray.cluster_resources
    return ask()
