"""A table of figures with intervals: one shape for Markdown, JSON, terminals and pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from cluster.evaluation.bootstrap import Interval

__all__ = [
    "Cell",
    "Column",
    "Section",
    "TableRow",
    "beyond",
    "cell_text",
    "figure_text",
    "markdown",
    "terminal_table",
]

Cell: TypeAlias = Interval | float | int | str | None


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        digits: after the point.
        signed: a difference: shown with its sign, and in bold where its interval leaves out zero.
    """

    heading: str
    digits: int = 0
    signed: bool = False


@dataclass(frozen=True)
class TableRow:
    """A name, and one cell a column."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """One table.

    Attributes:
        title: says on which pictures.
        first: heading of the rows' names.
        note: what to know to read it; may be empty.
    """

    title: str
    first: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    note: str = ""

    def titled(self, title: str) -> Section:
        """The same under another title."""
        return replace(self, title=title)


def beyond(cell: Cell, column: Column) -> bool:
    """Whether a cell is a difference whose interval leaves out zero."""
    return column.signed and isinstance(cell, Interval) and cell.excludes_zero


def figure_text(cell: Cell, column: Column) -> str:
    """A cell as plain text; a dash for what does not exist."""
    if cell is None:
        return "-"
    if isinstance(cell, str | int):
        return str(cell)
    sign = "+" if column.signed else ""
    found = cell if isinstance(cell, Interval) else Interval(cell, None, None)
    if not math.isfinite(found.value):
        return "-"
    text = f"{found.value:{sign}.{column.digits}f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} [{found.low:{sign}.{column.digits}f}, {found.high:{sign}.{column.digits}f}]"


def cell_text(cell: Cell, column: Column) -> str:
    """A cell in Markdown: the figure in bold where it is beyond its interval."""
    figure, bracket, bounds = figure_text(cell, column).partition(" [")
    return f"**{figure}**{bracket}{bounds}" if beyond(cell, column) else figure + bracket + bounds


def terminal_table(section: Section) -> Table:
    """A section for a terminal: as :func:`markdown` has it, bold where a figure is beyond its interval."""
    caption = section.note or None
    table = Table(
        title=section.title, caption=caption, box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column(section.first, no_wrap=True)
    for column in section.columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for row in section.rows:
        pairs = zip(row.cells, section.columns, strict=True)
        cells = [
            Text(figure_text(cell, column), "bold" if beyond(cell, column) else "")
            for cell, column in pairs
        ]
        table.add_row(Text(row.name), *cells)
    return table


def markdown(sections: Sequence[Section]) -> str:
    """Sections under headings of the third level."""
    lines: list[str] = []
    for section in sections:
        lines += [f"### {section.title}", ""]
        if section.note:
            lines += [section.note, ""]
        headings = [section.first, *(column.heading for column in section.columns)]
        lines.append("| " + " | ".join(headings) + " |")
        lines.append("| " + " | ".join("---" for _ in headings) + " |")
        for row in section.rows:
            pairs = zip(row.cells, section.columns, strict=True)
            cells = [cell_text(cell, column) for cell, column in pairs]
            lines.append("| " + " | ".join([row.name, *cells]) + " |")
        lines.append("")
    return "\n".join(lines)
