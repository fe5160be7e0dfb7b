"""What a shell is offered at Tab: asked as bash asks, in a process of its own, without what is heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable

import pytest

from cluster.commands.completion import BASELINES, codec_names
from shared.codecs import codec_names as usable_names
from shared.systems.catalogue import ENVIRONMENT, systems

#: Answers each command line of its arguments as a process of its own would, in a line of JSON.
ASK = """
import contextlib, io, json, os, sys
from cluster.cli import main
lines, sys.argv = sys.argv[1:], ["sidewire"]
os.environ["_SIDEWIRE_COMPLETE"] = "complete_bash"
for line in lines:
    os.environ |= {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main()
    print(json.dumps(out.getvalue().split()))
print("torch" in sys.modules, file=sys.stderr)
"""
NAMES = {
    "sidewire encode a b --codec ": {*systems(), *BASELINES},
    "sidewire encode a b --codec baseline/w": {"baseline/webp", "baseline/webp-copy"},
    "sidewire preview a --codec ": set(systems()),
    "sidewire decode a b --codec ss": {"ssa"},
    "sidewire send --codec ": {*systems(), "sealed"},
    "sidewire bench --codec sea": {"sealed"},
    "sidewire demo --codec ": set(systems()),
    "sidewire receive --mode ": {"wait", "refine"},
    "sidewire receive --decoder ": {"processes", "ray"},
    "sidewire receive --generator ": set(),
}


def offers(lines: Iterable[str], **environment: str) -> list[set[str]]:
    """What bash would show behind each command line, which ends with what is typed of a word."""
    run = subprocess.run(
        [sys.executable, "-c", ASK, *lines],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == "False\n"
    return [set(json.loads(line)) for line in run.stdout.splitlines()]


@pytest.fixture(scope="module")
def offered() -> dict[str, set[str]]:
    """By command line."""
    return dict(zip(NAMES, offers(NAMES), strict=True))


@pytest.mark.parametrize(("line", "names"), NAMES.items())
def test_a_shell_is_offered_the_names(
    offered: dict[str, set[str]], line: str, names: set[str]
) -> None:
    assert offered[line] == names


def test_systems_that_cannot_be_listed_are_no_traceback_at_the_prompt() -> None:
    line = "sidewire decode a b --codec "
    assert offers([line], **{ENVIRONMENT: "no_such_module"}) == [set()]


def test_every_codec_that_this_machine_has_is_offered() -> None:
    assert set(usable_names()) <= set(codec_names())
