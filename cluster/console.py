"""How commands talk: results on standard output, progress on standard error, errors in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console, RenderableType
from rich.progress import Progress

from shared.errors import (
    QualityError,
    SidewireError,
    StorageError,
    UnknownCodecError,
    WorkLeftError,
)

__all__ = [
    "EXIT_BAD_INPUT",
    "EXIT_STORAGE",
    "EXIT_USAGE",
    "EXIT_WORK_LEFT",
    "errors_in_one_line",
    "print_columns",
    "print_rendered",
    "print_result",
    "progress_bars",
    "progress_console",
    "stop",
]

EXIT_BAD_INPUT = 1
EXIT_USAGE = 2
EXIT_STORAGE = 3
EXIT_WORK_LEFT = 4

#: Exit codes of errors that are not bad input.
EXIT_CODES: dict[type[SidewireError], int] = {
    UnknownCodecError: EXIT_USAGE,
    QualityError: EXIT_USAGE,
    StorageError: EXIT_STORAGE,
    WorkLeftError: EXIT_WORK_LEFT,
}

#: Progress bars and notes; silent where standard error is not a terminal.
progress_console = Console(stderr=True)
_errors = Console(stderr=True, soft_wrap=True, highlight=False)
_results = Console(soft_wrap=True, highlight=False)


def progress_bars() -> Progress:
    """A display for progress bars on standard error, silent where that is not a terminal."""
    return Progress(console=progress_console, disable=not progress_console.is_terminal)


def stop(error: SidewireError, code: int) -> NoReturn:
    """End the command: the error in one line, and an exit code."""
    _errors.print(f"sidewire: {error}", markup=False)
    raise typer.Exit(code) from None


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn what the project raises into one line and an exit code."""
    try:
        yield
    except SidewireError as error:
        codes = (code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
        stop(error, next(codes, EXIT_BAD_INPUT))


def print_result(values: dict[str, Any], as_json: bool) -> None:
    """Print a flat record: as one JSON object, or as aligned ``name  value`` lines."""
    if as_json:
        print(json.dumps(values))
        return
    rows = []
    for name, value in values.items():
        shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        rows.append((name.replace("_", " "), shown))
    print_columns(rows)


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of equal length, aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        _results.print("  ".join(cells).rstrip(), markup=False)


def print_rendered(result: RenderableType) -> None:
    """Print what Rich lays out, such as a table."""
    _results.print(result)
