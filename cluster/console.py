"""How commands talk: results on standard output, progress on standard error, errors in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress

from shared.errors import QualityError, SidewireError, UnknownCodecError

__all__ = [
    "EXIT_BAD_INPUT",
    "EXIT_USAGE",
    "errors_in_one_line",
    "print_result",
    "progress_bars",
    "progress_console",
]

EXIT_BAD_INPUT = 1
EXIT_USAGE = 2

#: Progress bars and notes; silent where standard error is not a terminal.
progress_console = Console(stderr=True)
_errors = Console(stderr=True, soft_wrap=True, highlight=False)
_results = Console(soft_wrap=True, highlight=False)


def progress_bars() -> Progress:
    """A display for progress bars on standard error, silent where that is not a terminal."""
    return Progress(console=progress_console, disable=not progress_console.is_terminal)


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn what the project raises into one line and an exit code: 2 for usage, 1 for bad input."""
    try:
        yield
    except (UnknownCodecError, QualityError) as error:
        _errors.print(f"sidewire: {error}", markup=False)
        raise typer.Exit(EXIT_USAGE) from None
    except SidewireError as error:
        _errors.print(f"sidewire: {error}", markup=False)
        raise typer.Exit(EXIT_BAD_INPUT) from None


def print_result(values: dict[str, Any], as_json: bool) -> None:
    """Print a flat record: as one JSON object, or as aligned ``name  value`` lines."""
    if as_json:
        print(json.dumps(values))
        return
    width = max(map(len, values))
    for name, value in values.items():
        shown = f"{value:.4f}" if isinstance(value, float) else value
        _results.print(f"{name.replace('_', ' '):<{width}}  {shown}", markup=False)
