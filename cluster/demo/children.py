"""The demo's senders: ``sidewire`` commands as processes of their own, which die with this one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

from shared.errors import SidewireError

__all__ = ["Child"]

PROGRAM = (
    "import sys; from shared.workers import stay_with_parent; stay_with_parent(int(sys.argv.pop(1)));"
    " from cluster.cli import main; main()"
)
STOP_SECONDS = 10.0
#: Of a log, in a message.
LAST_LINES = 5


class Child:
    """A command with a feed on its standard input.

    Args:
        name: for messages.
        log: file that its standard error goes to.
    """

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @classmethod
    async def start(cls, log: Path, *words: object) -> Child:
        """Start ``sidewire`` with these words, the first of which names it."""
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", PROGRAM, str(os.getpid()), *map(str, words)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                # Ctrl-C on the terminal is this process's to handle.
                start_new_session=True,
            )
        return cls(str(words[0]), process, log)

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """What it reads as its feed."""
        assert self._process.stdin is not None
        return self._process.stdin

    async def result(self) -> dict[str, Any]:
        """The JSON object that it prints when it is done.

        Raises:
            SidewireError: it ended without.
        """
        assert self._process.stdout is not None
        output = await self._process.stdout.read()
        code = await self._process.wait()
        try:
            values: dict[str, Any] = json.loads(output)
        except ValueError:
            lines = self._log.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
            said = " / ".join(lines) or "it said nothing"
            raise SidewireError(f"`sidewire {self.name}` ended with code {code}: {said}") from None
        return values

    async def stop(self) -> None:
        """End it, in order if it can be."""
        if self._process.returncode is not None:
            return
        self.stdin.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
