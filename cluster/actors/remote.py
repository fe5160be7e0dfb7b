"""What ``sidewire decoders`` does: questions and orders to the supervisor that runs."""

from __future__ import annotations

from pathlib import Path

import ray

from cluster.actors.roster import PoolStatus
from cluster.actors.runtime import connected
from cluster.actors.supervisor import find_supervisor
from shared.errors import SidewireError

__all__ = ["decoders_scale", "decoders_status", "decoders_stop", "decoders_swap"]


def decoders_status(address: str, namespace: str) -> PoolStatus:
    """How the decoders stand.

    Raises:
        ClusterError: there are none.
    """
    return _order(address, namespace, "status")


def decoders_scale(address: str, namespace: str, count: int) -> PoolStatus:
    """Have so many decoders from now on.

    Raises:
        LimitError: the cluster has no room for them. ClusterError: there are none.
    """
    return _order(address, namespace, "scale", count)


def decoders_swap(address: str, namespace: str, generator: str) -> PoolStatus:
    """Another generator for the same streams: a codec's name or a bundle's folder.

    Raises:
        SwapError: it is of another stream. BundleError: it cannot be read. ClusterError: no decoders.
    """
    if Path(generator).is_dir():
        generator = str(Path(generator).resolve())
    return _order(address, namespace, "swap", generator)


def decoders_stop(address: str, namespace: str) -> None:
    """End the decoders of a cluster, when they have finished what they have.

    Raises:
        ClusterError: there are none.
    """
    with connected(address, namespace):
        supervisor = find_supervisor(namespace)
        ray.get(supervisor.stop.remote())
        ray.kill(supervisor)


def _order(address: str, namespace: str, method: str, *arguments: object) -> PoolStatus:
    with connected(address, namespace):
        answer = ray.get(getattr(find_supervisor(namespace), method).remote(*arguments))
    if isinstance(answer, SidewireError):
        raise answer
    assert isinstance(answer, PoolStatus)
    return answer
