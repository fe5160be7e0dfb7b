"""The ``sidewire`` command in this process, without a start of Python each time.

What only a process of its own shows (the entry point, the code that a shell gets, what libraries write by
themselves) is told by the tests that start one with :func:`sidewire_process`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner, Result

from cluster.cli import app

__all__ = ["sidewire", "sidewire_process"]

SIDEWIRE = Path(sys.executable).parent / "sidewire"


def sidewire(*arguments: object, code: int = 0, **environment: str) -> Result:
    """Run a command to its end in this process; settings of the environment are not seen.

    Raises:
        AssertionError: its exit code is another than ``code``.
    """
    hidden = {name: None for name in os.environ if name.startswith("SIDEWIRE_")}
    run = CliRunner().invoke(
        app,
        list(map(str, arguments)),
        env=hidden | environment,
        catch_exceptions=False,
        prog_name="sidewire",
    )
    assert run.exit_code == code, (run.stdout, run.stderr)
    return run


def sidewire_process(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the installed script to its end.

    Raises:
        AssertionError: its exit code is another than ``code``.
    """
    command = [str(SIDEWIRE), *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == code, (run.stdout, run.stderr)
    return run
