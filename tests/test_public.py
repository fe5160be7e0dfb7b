"""The module ``sidewire``: what it has, what it costs, and how it is asked for its version."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sidewire
from shared.errors import SidewireError

ROOT = Path(__file__).parents[1]


def python(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    stub = ast.parse(Path(sidewire.__file__).with_suffix(".pyi").read_text())
    imported = {
        one.asname: f"{statement.module}:{one.name}"
        for statement in stub.body
        if isinstance(statement, ast.ImportFrom)
        for one in statement.names
    }
    public = {"__version__", *imported}
    assert public == set(sidewire.__all__) == set(dir(sidewire))
    for name in sidewire.__all__:
        assert getattr(sidewire, name).__doc__, name


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sidewire.nothing  # noqa: B018
    assert issubclass(sidewire.LimitError, SidewireError)


def test_sending_and_receiving_load_no_torch() -> None:
    used = "import sys, sidewire; sidewire.send, sidewire.publish, sidewire.receive"
    assert python(f"{used}; print('torch' in sys.modules)") == "False"
    assert python("import sys, sidewire; print('grpc' in sys.modules)") == "False"


def test_the_version_has_one_source() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "shared.version.VERSION"}
    said = subprocess.run(
        [sys.executable, "-m", "sidewire", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"sidewire {sidewire.__version__}\n"
