"""What a plan comes to, as people read it."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from cluster.bench.capacity import Capacity, Part

__all__ = ["as_table"]


def as_table(found: Capacity) -> Group:
    """A row for each part, then the rate and what limits it, and where the service times are from."""
    table = Table()
    table.add_column("part")
    for heading in ("there are", "a picture asks for", "pictures/s at most", "busy at the rate"):
        table.add_column(heading, justify="right")
    for part in found.parts:
        table.add_row(part.name, *_cells(part))
    times = found.times
    of = f"{times.codec} {times.size}".strip()
    source = f"Service times: {of}, {times.at}, {times.machine}."
    return Group(table, Text(_verdict(found), style="bold"), Text(source))


def _cells(part: Part) -> tuple[str, str, str, str]:
    per_second = "Mbit" if part.name == "wire" else f"s of {part.unit[:-1]}"
    there = "open" if part.there is None else f"{part.there:g} {part.unit}"
    asks = "not measured" if part.a_picture is None else f"{part.a_picture:.4g} {per_second}"
    limit = "open" if part.limit is None else f"{part.limit:.1f}"
    if part.needed is None:
        return there, asks, limit, "-"
    if part.there is None:
        return there, asks, limit, f"takes {part.needed:.1f} {part.unit}"
    return there, asks, limit, f"{part.needed / part.there:.0%}"


def _verdict(found: Capacity) -> str:
    if found.rate is None:
        return (
            "No rate: nobody has measured these GPUs. python -m cluster.benchmarks.gpu does on one;"
            " then add gpu_rate=PICTURES_A_SECOND."
        )
    return f"{found.rate:.1f} pictures a second, limited by {found.limited_by}"
