"""Whether the cluster that this process is a driver of is there: its head, and the node that we are on.

Ray says so after a quarter of a minute, or not at all, and asks a head that is gone for one more before it
ends the process. A port that nothing listens at says it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import ray

__all__ = ["Lifeline"]

#: Seconds that a connection may take: the system answers, however busy the process is.
PROBE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Lifeline:
    """Where a cluster answers: host and port of its head, and of the node process (raylet) next to us."""

    head: tuple[str, int]
    node: tuple[str, int]

    @classmethod
    def here(cls) -> Lifeline:
        """Of the cluster that is connected now."""
        context = ray.get_runtime_context()
        own = context.get_node_id()
        ask: Callable[[], list[dict[str, Any]]] = ray.nodes
        node = next(one for one in ask() if one["NodeID"] == own)
        head = urlsplit(f"ray://{context.gcs_address}")
        assert head.hostname is not None
        assert head.port is not None
        return cls(
            (head.hostname, head.port), (node["NodeManagerAddress"], node["NodeManagerPort"])
        )

    async def cut(self) -> str:
        """What does not answer; empty where all is well."""
        for name, (host, port) in (("node process (raylet)", self.node), ("head", self.head)):
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    _, writer = await asyncio.open_connection(host, port)
            except OSError:
                return f"Ray's {name} at {host}:{port} is gone"
            writer.close()
        return ""
