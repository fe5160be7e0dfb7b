"""The end of a command whose libraries hold on to what is gone."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from shared.core_log import end_diversion

__all__ = ["leave", "leave_behind"]

_left_behind = False


def leave_behind() -> None:
    """Say that a thread of this process hangs in a library, so that the end must not wait for it."""
    global _left_behind  # noqa: PLW0603 - a fact about the process
    _left_behind = True


def leave(end: SystemExit) -> NoReturn:
    """End the process as ``end`` says; without Python's own tidying where that would wait for what hangs."""
    if not _left_behind:
        # Nobody needs the memory of rings of objects now; looking for them takes half a second with torch.
        gc.freeze()
        raise end
    if isinstance(end.code, str):
        print(end.code, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    end_diversion()
    os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
