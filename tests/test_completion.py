"""What a shell is offered at Tab: asked as bash asks, in a process of its own, without what is heavy."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cluster.commands.completion import BASELINES, codec_names
from shared.codecs import codec_names as usable_names
from shared.systems.catalogue import ENVIRONMENT, systems

ASK = (
    "import atexit, sys; sys.argv = ['sidewire'];"
    "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr));"
    "from cluster.cli import main; main()"
)


def offers(line: str, **environment: str) -> set[str]:
    """What bash would show behind a command line that ends with what is typed of a word."""
    asked = {
        "_SIDEWIRE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    run = subprocess.run(
        [sys.executable, "-c", ASK],
        env=os.environ | asked | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == "False\n"
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("sidewire encode a b --codec ", {*systems(), *BASELINES}),
        ("sidewire encode a b --codec baseline/w", {"baseline/webp", "baseline/webp-copy"}),
        ("sidewire preview a --codec ", set(systems())),
        ("sidewire decode a b --codec s", {"ssa"}),
        ("sidewire send --codec ", {*systems(), "sealed"}),
        ("sidewire bench --codec se", {"sealed"}),
        ("sidewire demo --codec ", set(systems())),
        ("sidewire receive --mode ", {"wait", "refine"}),
        ("sidewire receive --decoder ", {"processes", "ray"}),
        ("sidewire receive --generator ", set()),
    ],
)
def test_a_shell_is_offered_the_names(line: str, names: set[str]) -> None:
    assert offers(line) == names


def test_systems_that_cannot_be_listed_are_no_traceback_at_the_prompt() -> None:
    assert offers("sidewire decode a b --codec ", **{ENVIRONMENT: "no_such_module"}) == set()


def test_every_codec_that_this_machine_has_is_offered() -> None:
    assert set(usable_names()) <= set(codec_names())
