"""The Dockerfile as its stages, each with what it has from the stage that it begins with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from tests.deploy.rendered import DEPLOY

FILE = DEPLOY / "images" / "Dockerfile"


@dataclass(frozen=True)
class Step:
    """An instruction, such as RUN, with the rest of its line."""

    word: str
    text: str


@dataclass(frozen=True)
class Stage:
    """A stage and its own steps.

    Attributes:
        base: the image or stage that it begins with.
    """

    name: str
    base: str
    steps: list[Step]


@cache
def dockerfile() -> tuple[Stage, ...]:
    lines = [
        line
        for line in FILE.read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, text = line.partition(" ")
        if word == "FROM":
            base, name = text.split(" AS ")
            found.append(Stage(name, base, []))
        else:
            found[-1].steps.append(Step(word, text))
    return tuple(found)


def steps_of(name: str, word: str) -> list[str]:
    """A stage's instructions of one kind, with those that it has from others, the oldest first."""
    stages = {one.name: one for one in dockerfile()}
    if name not in stages:
        return []
    stage = stages[name]
    own = [step.text for step in stage.steps if step.word == word]
    return [*steps_of(stage.base, word), *own]
