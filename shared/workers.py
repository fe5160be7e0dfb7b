"""A process that answers one request at a time, from both ends of its pipes.

What such a process is for, torch above all, is loaded there and never in its parent. Requests come on
its stdin and answers go to what was its stdout, each a length and a pickle; the first request is the
function that builds what answers all others. Before an answer may come notes that say how far it is
(:func:`tell`). It is a fresh interpreter, as gRPC does not survive a fork.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import pickle
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Generic, TypeVar

from shared.errors import SidewireError

__all__ = ["Builder", "WorkerDiedError", "WorkerProcess", "serve", "stay_with_parent", "tell"]

#: It finds modules where its parent does, not in the working directory. And this one not through ``-m``,
#: which would load it a second time under another name.
PROGRAM = "import sys; sys.path = sys.argv[2:]; from shared.workers import serve; serve()"
#: Before each pickle: its length.
LENGTH = struct.Struct("<Q")
#: Seconds that building may take.
START_SECONDS = 300.0
PR_SET_PDEATHSIG = 1

ReadyT = TypeVar("ReadyT")
RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")

#: Makes what the parent is told once, and the function that answers every request. It can be pickled: a
#: function of a module, or a ``functools.partial`` of one.
Builder = Callable[[], tuple[ReadyT, Callable[[RequestT], AnswerT]]]


class WorkerDiedError(SidewireError):
    """The process is gone, and with it whatever it was asked."""


@dataclass(frozen=True, slots=True)
class Note:
    """A message that is no answer yet."""

    value: object


# In the parent


class WorkerProcess(Generic[ReadyT, RequestT, AnswerT]):
    """A process, and those that take its place when it has died. One request at a time.

    Args:
        name: for messages, such as "decoder process".
        build: runs in the process.
        timeout: seconds that an answer may take.
    """

    def __init__(
        self, name: str, build: Builder[ReadyT, RequestT, AnswerT], timeout: float
    ) -> None:
        self._name = name
        self._build = build
        self._timeout = timeout
        self._process: Process | None = None
        #: Held while the process is created, and while it ends.
        self._life = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none and :meth:`start` is to be called."""
        return self._process.pid if self._process else None

    async def start(self) -> ReadyT:
        """Start a process and build what answers; what the parent is told.

        Raises:
            SidewireError: whatever building raised, if it is one.
            WorkerDiedError: the process ended meanwhile, took too long or could not be created.
        """
        try:
            async with self._life:
                # The loop's own thread does it: Linux takes the end of that thread for the parent's.
                command = (sys.executable, "-c", PROGRAM, str(os.getpid()), *sys.path)
                # Answers are read whole, so a limit would save nothing; and a paused pipe never shows
                # its end.
                self._process = await asyncio.create_subprocess_exec(
                    *command, stdin=PIPE, stdout=PIPE, limit=sys.maxsize
                )
        except OSError as error:
            raise WorkerDiedError(f"the {self._name} could not be created: {error}") from None
        answer: ReadyT | SidewireError = await self._ask(self._build, START_SECONDS)
        if isinstance(answer, SidewireError):
            await self.stop()
            raise answer
        return answer

    async def ask(
        self, request: RequestT, noted: Callable[[Any], None] = lambda _: None
    ) -> AnswerT:
        """Answer one request. Where this is cancelled, the process is ended.

        Args:
            noted: is called with what the process tells meanwhile (:func:`tell`).

        Raises:
            WorkerDiedError: it ended meanwhile, or took too long and was ended.
        """
        answer: AnswerT = await self._ask(request, self._timeout, noted)
        return answer

    async def stop(self) -> None:
        """End it at once, and wait until it is gone; who waits for its answer gets WorkerDiedError."""
        # Also while another stop is under way: whoever returns from here leaves no process behind.
        async with self._life:
            process, self._process = self._process, None
            if process is None:
                return
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _ask(
        self, request: object, timeout: float, noted: Callable[[Any], None] = lambda _: None
    ) -> Any:
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(request, noted)
        except TimeoutError:
            await self.stop()
            raise WorkerDiedError(f"the {self._name} gave no answer in {timeout:g} s") from None
        except (OSError, EOFError):
            await self.stop()
            raise WorkerDiedError(f"the {self._name} ended") from None
        except asyncio.CancelledError:
            # Its answer would be taken for the next one's.
            await self.stop()
            raise

    async def _exchange(self, request: object, noted: Callable[[Any], None]) -> Any:
        assert self._process is not None
        pipe, answers = self._process.stdin, self._process.stdout
        assert pipe is not None
        assert answers is not None
        pipe.write(_packed(request))
        await pipe.drain()
        while True:
            (length,) = LENGTH.unpack(await answers.readexactly(LENGTH.size))
            message = pickle.loads(await answers.readexactly(length))
            if not isinstance(message, Note):
                return message
            noted(message.value)


def _packed(message: object) -> bytes:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(data)) + data


# In the process

#: Sends a message to the parent; set where this process is such a one.
_send: Callable[[object], None] | None = None


def tell(value: object) -> None:
    """Tell whoever waits for the answer how far it is; nobody where this process answers no requests."""
    if _send is not None:
        _send(Note(value))


def stay_with_parent(parent: int) -> None:
    """Die with the process ``parent``, whose main thread has started this one, however sudden its death."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(f"the parent process {parent} is gone")


def serve() -> None:
    """All that a process does. An error that is not typed ends it, with a traceback on stderr."""
    global _send  # noqa: PLW0603
    # These reach a terminal's or a service's whole group, and are the parent's to handle: it drains.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stay_with_parent(int(sys.argv[1]))
    # Whatever prints goes to stderr from here on.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def send(message: object) -> None:
        answers.write(_packed(message))
        answers.flush()

    _send = send
    requests = _requests(sys.stdin.buffer)
    build: Builder[Any, Any, Any] = next(requests)
    # What is loaded stays: looking for garbage among it takes a tenth of the time.
    gc.disable()
    try:
        ready, answer = build()
    except SidewireError as error:
        send(error)
        return
    gc.freeze()
    gc.enable()
    send(ready)
    for request in requests:
        send(answer(request))


def _requests(pipe: BinaryIO) -> Iterator[Any]:
    """One request after the other until the pipe closes."""
    while len(head := pipe.read(LENGTH.size)) == LENGTH.size:
        yield pickle.loads(pipe.read(*LENGTH.unpack(head)))
