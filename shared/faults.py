"""Fail points: places where a test may stop a real process for good, or pause it.

``SIDEWIRE_FAULT=gateway.after_output:kill:3`` sends this process SIGKILL the third time that it gets
there; ``pause`` sends SIGSTOP. Without the variable a fail point is one comparison.
"""

from __future__ import annotations

import os
import signal

__all__ = ["reached"]

SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP}

_point, _, _rest = os.environ.get("SIDEWIRE_FAULT", "").partition(":")
_what, _, _count = _rest.partition(":")
_left = int(_count or 1)


def reached(point: str) -> None:
    """Stop here if the environment says so."""
    global _left  # noqa: PLW0603 - the count is the process's
    if point != _point:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), SIGNALS[_what])
