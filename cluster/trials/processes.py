"""Real receivers and senders for benchmarks and tests: the ``sidewire`` command in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = [
    "Ends",
    "Program",
    "Receiver",
    "address_of",
    "command",
    "receiver",
    "reserved_port",
    "result",
    "state_of",
]

STOP_SECONDS = 180


def command(*words: object) -> list[str]:
    """``sidewire`` with these words, by this interpreter."""
    return [sys.executable, "-c", "from cluster.cli import main; main()", *map(str, words)]


def state_of(pid: int) -> str:
    """A process's state as proc(5) has it, such as S, T for stopped, Z; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


class Program:
    """A ``sidewire`` command that runs.

    Args:
        log: file that its standard error is added to; None for this process's own.
        fault: see :mod:`shared.faults`.
        before: words before the command, such as those that choose a network namespace.
    """

    def __init__(
        self,
        *words: object,
        log: Path | None = None,
        fault: str = "",
        before: Sequence[str] = (),
    ) -> None:
        self._log = log
        errors = log.open("a") if log else None
        self._process = subprocess.Popen(
            [*before, *command(*words)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | ({"SIDEWIRE_FAULT": fault} if fault else {}),
        )
        if errors:
            errors.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended; a stopped one has not."""
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended gets none."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs then.
        """
        return self._process.wait(seconds)

    def line(self) -> dict[str, Any]:
        """The JSON object in its next line of output.

        Raises:
            RuntimeError: it ended without another.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with code {self._process.wait()}")
        values: dict[str, Any] = json.loads(line)
        return values


@dataclass(frozen=True)
class Receiver:
    """A receiver that listens."""

    program: Program
    images: str
    captions: str


@contextmanager
def receiver(state: Path, *words: object) -> Iterator[Receiver]:
    """A receiver on free ports of this machine; drained at the end."""
    free = ["--images", "127.0.0.1:0", "--captions", "127.0.0.1:0"]
    program = Program("receive", "--state", state, "--set", "log_level=warning", *free, *words)
    ready = program.line()
    try:
        yield Receiver(program, ready["images"], ready["captions"])
    finally:
        program.signal(signal.SIGTERM)
        program.wait()


def result(words: Sequence[object]) -> dict[str, Any]:
    """Run a command with ``--json`` to its end; the object that it prints."""
    done = subprocess.run(command(*words, "--json"), check=True, stdout=subprocess.PIPE, text=True)
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def reserved_port() -> socket.socket:
    """A port of this machine that nobody listens at. Until this is closed the system gives it to no other
    program, not even while a server there is started again; servers that are named it can listen there, if
    they set SO_REUSEADDR as gRPC's do."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place


def address_of(place: socket.socket) -> str:
    """Its host:port."""
    host, port = place.getsockname()
    return f"{host}:{port}"


@dataclass
class Ends:
    """Both ends of a stream, which keep their folders and addresses however often they are started.

    A context manager: at its end everything it started is killed, and its ports are given back.

    Attributes:
        folder: of all state, and of what the processes say (``*.log``).
        receive, send: more words for the two commands.
        images, captions: where the receiver listens; reserved ports of this machine by default.
        to_images, to_captions: where the others look for it; there, by default.
        near, far: words before the others' and the receiver's commands.
    """

    folder: Path
    feed: Path
    receive: Sequence[object] = ("--set", "decoder=benchmark-echo")
    send: Sequence[object] = ("--codec", "sealed")
    images: str = ""
    captions: str = ""
    to_images: str = ""
    to_captions: str = ""
    near: Sequence[str] = ()
    far: Sequence[str] = ()
    _started: list[Program] = field(default_factory=list)
    _ports: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.images = self.images or self._address()
        self.captions = self.captions or self._address()

    def _address(self) -> str:
        self._ports.append(reserved_port())
        return address_of(self._ports[-1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for program in self._started:
            program.kill()
        for port in self._ports:
            port.close()

    @property
    def sink(self) -> Path:
        """Where pictures go."""
        return self.folder / "sink"

    @property
    def ledger(self) -> Path:
        """The receiver's database."""
        return self.folder / "state" / "ledger.sqlite"

    @property
    def journal(self) -> Path:
        """The sender's folder."""
        return self.folder / "journal"

    def start_receiver(self, *words: object, fault: str = "") -> Program:
        """``sidewire receive``; its first line says that it listens."""
        where = ("--images", self.images, "--captions", self.captions)
        folders = ("--state", self.ledger.parent, "--sink", self.sink)
        return self._start("receive", self.far, fault, *where, *folders, *self.receive, *words)

    def start_sender(self, *words: object, captions: bool = False, fault: str = "") -> Program:
        """``sidewire send``; with its own caption publisher, or with pictures alone."""
        where = ["--images", self.to_images or self.images, "--state", self.journal]
        if captions:
            where += ["--captions", self.to_captions or self.captions]
        return self._start("send", self.near, fault, *where, *self._feed, *self.send, *words)

    def start_publisher(self, *words: object, fault: str = "") -> Program:
        """``sidewire captions``."""
        where = ("--to", self.to_captions or self.captions)
        return self._start("captions", self.near, fault, *where, *self._feed, *words)

    @property
    def _feed(self) -> tuple[object, ...]:
        return ("--json", "--feed", self.feed)

    def _start(self, name: str, before: Sequence[str], fault: str, *words: object) -> Program:
        log = self.folder / f"{name}.log"
        program = Program(name, *words, log=log, fault=fault, before=before)
        self._started.append(program)
        return program

    def said(self, name: str) -> str:
        """All that one of the commands has written to standard error."""
        return (self.folder / f"{name}.log").read_text()
