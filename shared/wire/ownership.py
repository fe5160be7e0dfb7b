"""Which of several gateways owns a stream: rendezvous hashing, so that all agree without talking.

Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = ["owner"]


def owner(stream_id: str, gateways: Sequence[str]) -> str:
    """The gateway whose hash with the stream is highest; adding one moves only its own share."""
    return max(gateways, key=lambda one: hashlib.sha256(f"{one}\0{stream_id}".encode()).digest())
