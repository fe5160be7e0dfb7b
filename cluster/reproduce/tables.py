"""A table of figures with intervals: one shape for Markdown and for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cluster.evaluation.bootstrap import Interval

__all__ = ["Cell", "Column", "Section", "TableRow", "cell_text", "markdown"]

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


def cell_text(cell: Cell, column: Column) -> str:
    """A cell as text; a dash for what does not exist."""
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
    text = f"**{text}**" if column.signed and found.excludes_zero else text
    return f"{text} [{found.low:{sign}.{column.digits}f}, {found.high:{sign}.{column.digits}f}]"


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
