"""Node.js and the packages beside this file, which ``make test`` installs where Node.js is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.patience import PATIENCE

__all__ = ["buf", "node", "require_node"]

HERE = Path(__file__).parent


def node(script: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a script of this folder to its end; options are those of :func:`subprocess.run`."""
    return _run("node", HERE / script, *arguments, **options)


def buf(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run buf to its end."""
    return _run(HERE / "node_modules" / ".bin" / "buf", *arguments)


def require_node() -> None:
    """Skip the test where Node.js is not installed, but fail it in continuous integration."""
    if shutil.which("node") is None or not (HERE / "node_modules").is_dir():
        absent = "Node.js or its packages are not installed (make test installs the packages)"
        if os.environ.get("CI"):
            pytest.fail(absent)
        pytest.skip(absent)


def _run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    require_node()
    words = [str(word) for word in command]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=PATIENCE, **options
    )
