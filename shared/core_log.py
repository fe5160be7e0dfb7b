"""gRPC's own log, which goes to standard error and tells what nothing else does: handshakes that failed.

:func:`divert_core_log` makes standard error a pipe into this process. gRPC's lines stay in it, for whoever
asks by :func:`core_lines`; everything else goes on to where it went before.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["core_lines", "divert_core_log", "end_diversion"]

VERBOSITY = "GRPC_VERBOSITY"
#: As a line of gRPC's core begins (absl's log prefix): severity, date, time, thread, file.
CORE = re.compile(rb"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.]+:\d+\] ")
#: A line without an end is handed on in pieces of so many bytes.
LONGEST = 1 << 16
#: Seconds for the last lines, at the end: a child may have the pipe open still.
LAST_SECONDS = 1.0


def _ignored(line: bytes) -> None:
    """Nobody listens."""


# A process has one standard error.
_told: Callable[[bytes], None] = _ignored
#: Where standard error went before, and the thread that passes lines on to there; None where none does.
_diverted: tuple[int, threading.Thread] | None = None


def divert_core_log() -> None:
    """Begin, for as long as the process lives. Call it before gRPC is imported, which looks but once at how
    much it is to say. Where somebody wants gRPC's log for himself (GRPC_VERBOSITY), nothing is changed."""
    global _diverted  # noqa: PLW0603
    if VERBOSITY in os.environ:
        return
    os.environ[VERBOSITY] = "INFO"
    before = os.dup(2)
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    thread = threading.Thread(target=_sort, args=(reading, before), name="core-log", daemon=True)
    thread.start()
    _diverted = before, thread
    atexit.register(end_diversion)
    import grpc  # noqa: F401, PLC0415 - it has looked now; children are to say nothing

    os.environ[VERBOSITY] = "NONE"


def end_diversion() -> None:
    """Have standard error go to where it went before, behind all that was written to it; happens by itself
    at Python's end."""
    if _diverted is not None:
        before, thread = _diverted
        os.dup2(before, 2)
        thread.join(LAST_SECONDS)


@contextmanager
def core_lines(told: Callable[[bytes], None]) -> Iterator[None]:
    """Have ``told`` called with each line of gRPC's log, from a thread of its own; with none where it is not
    diverted."""
    global _told  # noqa: PLW0603
    _told = told
    try:
        yield
    finally:
        _told = _ignored


def _sort(reading: int, onward: int) -> None:
    """Tell gRPC's lines, pass the others on; until nobody writes any more."""
    rest = b""
    while read := os.read(reading, LONGEST):
        *lines, rest = (rest + read).split(b"\n")
        passed = b"".join(line + b"\n" for line in lines if not _is_core(line))
        if len(rest) >= LONGEST or not _may_be_core(rest):
            # Such as a prompt or a progress bar: it is not to wait for the end of its line.
            passed += rest
            rest = b""
        _pass(onward, passed)
    _pass(onward, rest)


def _is_core(line: bytes) -> bool:
    found = CORE.match(line) is not None
    if found:
        _told(line)
    return found


def _may_be_core(beginning: bytes) -> bool:
    return beginning[:1] in (b"I", b"W", b"E", b"F") and beginning[1:2] in (b"", b"0", b"1")


def _pass(onward: int, data: bytes) -> None:
    # Where nobody reads any more, whoever writes to the pipe must not wait for ever.
    with suppress(OSError):
        while data:
            data = data[os.write(onward, data) :]
