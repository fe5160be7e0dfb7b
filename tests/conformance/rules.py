"""A rule of docs/protocol.md as a check, what came of it, and the table of all."""

from __future__ import annotations

import enum
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Check", "NotApplicable", "Result", "Verdict", "Violation", "require", "rule", "table"]

Subject = TypeVar("Subject")


class Violation(Exception):  # noqa: N818 - not an error of ours
    """The program under test broke a rule; says how."""


class NotApplicable(Exception):  # noqa: N818 - not an error at all
    """The rule says nothing about this program; says why."""


class Verdict(enum.Enum):
    """How a check ended."""

    HOLDS = "holds"
    BROKEN = "BROKEN"
    NOT_APPLICABLE = "n/a"


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    name: str
    section: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One rule.

    Attributes:
        section: the heading of docs/protocol.md that it stands under.
        text: the rule in words.
    """

    name: str
    section: str
    text: str
    function: Callable[[Subject], Awaitable[None]]

    async def run(self, subject: Subject) -> Result:
        """What comes of it for this program; never raises on its account."""
        verdict, detail = Verdict.HOLDS, ""
        try:
            await self.function(subject)
        except NotApplicable as reason:
            verdict, detail = Verdict.NOT_APPLICABLE, str(reason)
        except Violation as problem:
            verdict, detail = Verdict.BROKEN, str(problem)
        except Exception as problem:  # a peer may do anything
            last = traceback.extract_tb(problem.__traceback__)[-1]
            verdict = Verdict.BROKEN
            detail = f"{type(problem).__name__}: {problem} ({last.name}, line {last.lineno})"
        return Result(self.name, self.section, verdict, " ".join(detail.split()))


def rule(
    section: str, into: list[Check[Subject]]
) -> Callable[[Callable[[Subject], Awaitable[None]]], Callable[[Subject], Awaitable[None]]]:
    """Make a check of a function: its name names the check, its docstring is the rule."""

    def register(
        function: Callable[[Subject], Awaitable[None]],
    ) -> Callable[[Subject], Awaitable[None]]:
        text = " ".join((function.__doc__ or "").split())
        into.append(Check(function.__name__.replace("_", " "), section, text, function))
        return function

    return register


def require(condition: object, problem: str) -> None:
    """Raise :class:`Violation` unless the condition holds."""
    if not condition:
        raise Violation(problem)


def table(results: Sequence[Result]) -> str:
    """A table for people: a line a check, what was broken below its line, the sum at the end."""
    width = max(len(one.name) for one in results)
    lines = []
    for one in results:
        lines.append(f"{one.verdict.value:<6}  {one.name:<{width}}  {one.section}")
        if one.detail:
            lines.append(f"        {one.detail}")
    counts = [
        f"{sum(one.verdict is verdict for one in results)} {verdict.value.lower()}"
        for verdict in Verdict
    ]
    return "\n".join([*lines, ", ".join(counts)])
