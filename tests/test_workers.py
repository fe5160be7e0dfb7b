"""Invariant: every request has the answer to it or a typed error, and no process is left behind."""

from __future__ import annotations

import asyncio
import os
import pickle
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from shared.errors import LimitError, SidewireError, UnknownCodecError, reason_of
from shared.workers import WorkerDiedError, WorkerProcess, tell
from tests.processes import existing, started_here

#: Signals that a process sends itself when it is asked by their name.
SIGNALS = {one.name.encode(): one for one in (signal.SIGKILL, signal.SIGSTOP)}
GENEROUS = 120.0

EchoWorker = WorkerProcess[int, bytes, bytes]


def echo(request: bytes) -> bytes:
    if request in SIGNALS:
        os.kill(os.getpid(), SIGNALS[request])
    if request == b"error":
        raise ValueError("an error that nobody expected")
    tell(len(request))
    print("noise on stdout", flush=True)
    return request


def build_echo() -> tuple[int, Callable[[bytes], bytes]]:
    return os.getpid(), echo


def build_nothing(error: Exception) -> tuple[int, Callable[[bytes], bytes]]:
    raise error


@asynccontextmanager
async def echoing(timeout: float = GENEROUS) -> AsyncIterator[EchoWorker]:
    """A worker that has been started; at the end no process is left."""
    with started_here() as pids:
        worker = EchoWorker("echo process", build_echo, timeout)
        assert await worker.start() == worker.pid
        assert pids == [worker.pid]
        try:
            yield worker
        finally:
            await worker.stop()
    assert worker.pid is None
    assert existing(pids) == []


async def stopped(pid: int) -> None:
    """Wait until a child of this process stops."""
    await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


def test_answers_are_those_of_the_requests() -> None:
    async def scenario() -> None:
        async with echoing() as worker:
            pid = worker.pid
            for request in (b"", b"one", bytes(10 << 20), b"two"):  # a pipe holds 64 KiB
                assert await worker.ask(request) == request
            assert worker.pid == pid

    asyncio.run(scenario())


def test_notes_come_before_the_answer() -> None:
    async def scenario() -> None:
        async with echoing() as worker:
            notes: list[int] = []
            assert await worker.ask(b"three", notes.append) == b"three"
            assert await worker.ask(b"unheard") == b"unheard"
            assert notes == [5]

    asyncio.run(scenario())
    tell("nobody asked this process anything")


@pytest.mark.parametrize("request_", [b"SIGKILL", b"error"])
def test_death_is_told_and_another_process_takes_its_place(request_: bytes) -> None:
    async def scenario() -> None:
        async with echoing() as worker:
            pid = worker.pid
            with pytest.raises(WorkerDiedError, match="the echo process ended"):
                await worker.ask(request_)
            assert worker.pid is None
            assert await worker.start() not in (None, pid)
            assert await worker.ask(b"after") == b"after"

    asyncio.run(scenario())


def test_a_process_that_does_not_answer_is_ended() -> None:
    async def scenario() -> None:
        async with echoing(timeout=0.5) as worker:
            with pytest.raises(WorkerDiedError, match=r"the echo process gave no answer in 0\.5 s"):
                await worker.ask(b"SIGSTOP")
            assert worker.pid is None

    asyncio.run(scenario())


def test_an_abandoned_answer_is_not_the_next_ones() -> None:
    async def scenario() -> None:
        async with echoing() as worker:
            asking = asyncio.create_task(worker.ask(b"SIGSTOP"))
            await stopped(worker.pid)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await worker.start()
            assert await worker.ask(b"next") == b"next"

    asyncio.run(scenario())


def test_stop_ends_what_is_under_way() -> None:
    async def scenario() -> None:
        async with echoing() as worker:
            asking = asyncio.create_task(worker.ask(b"SIGSTOP"))
            await stopped(worker.pid)
            await worker.stop()
            with pytest.raises(WorkerDiedError, match="the echo process ended"):
                await asking

    asyncio.run(scenario())


def test_whoever_stops_it_waits_until_it_is_gone() -> None:
    async def scenario() -> None:
        async with echoing() as worker:
            pid = worker.pid
            other = asyncio.create_task(worker.stop())
            await asyncio.sleep(0)  # it has taken the process away to end it
            await worker.stop()
            assert existing([pid]) == []
            await other

    asyncio.run(scenario())


def test_stop_never_misses_a_process_that_is_being_started() -> None:
    async def scenario(turns: int) -> None:
        worker = EchoWorker("echo process", build_echo, GENEROUS)
        with started_here() as pids:
            starting = asyncio.create_task(worker.start())
            for _ in range(turns):
                await asyncio.sleep(0)
            await worker.stop()
            with pytest.raises(WorkerDiedError):
                await starting
        assert len(pids) == 1
        assert existing(pids) == []

    for turns in range(1, 8):
        asyncio.run(scenario(turns))


@pytest.mark.parametrize(
    "error",
    [
        UnknownCodecError("no codec 'nonsense'"),
        LimitError("a side", 0, 1, least=True),
        LimitError("a side", 9000, 8192),
    ],
    ids=str,
)
def test_typed_errors_of_building_are_raised_by_start(error: SidewireError) -> None:
    async def scenario() -> None:
        worker = EchoWorker("echo process", partial(build_nothing, error), GENEROUS)
        with pytest.raises(type(error), match=f"^{re.escape(str(error))}$") as raised:
            await worker.start()
        assert vars(raised.value) == vars(error)
        assert worker.pid is None

    asyncio.run(scenario())


def test_other_errors_of_building_end_the_process(capfd: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        build = partial(build_nothing, ValueError("nobody expected it"))
        worker = EchoWorker("echo process", build, GENEROUS)
        with pytest.raises(WorkerDiedError, match="the echo process ended"):
            await worker.start()
        assert worker.pid is None

    asyncio.run(scenario())
    assert "ValueError: nobody expected it" in capfd.readouterr().err


def test_files_of_the_working_directory_are_not_taken_for_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("shared.py", "struct.py", "torch.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong file')\n")
    monkeypatch.chdir(tmp_path)

    async def scenario() -> None:
        async with echoing() as worker:
            assert await worker.ask(b"here") == b"here"

    asyncio.run(scenario())


# Errors that travel


@pytest.mark.parametrize("least", [False, True])
def test_limit_errors_can_be_pickled(least: bool) -> None:
    error = LimitError("a side", 5, 7, least=least)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is LimitError
    assert (str(again), vars(again)) == (str(error), vars(error))
    assert str(error) == f"a side is 5, must be at {'least' if least else 'most'} 7"


def test_reasons_are_one_bounded_line() -> None:
    assert reason_of(UnknownCodecError("no codec\n  'x'")) == "no codec 'x'"
    assert reason_of(ValueError("bad\nvalue")) == "ValueError: bad value"
    assert len(reason_of(ValueError("long " * 1000))) == 500
