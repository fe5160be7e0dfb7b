"""The page of a comparison; its pictures and plots are files beside it."""

from __future__ import annotations

from pathlib import Path

import jinja2

from cluster.compare.plots import Plot
from cluster.compare.records import Comparison
from cluster.compare.side_by_side import SQUARE
from cluster.compare.tables import answers, by_level, named, rates, saved_bits
from cluster.reproduce.tables import beyond, figure_text
from shared.pictures import write_atomically

__all__ = ["write_page"]

TEMPLATE = Path(__file__).parent / "page.html"


def write_page(path: Path, found: Comparison, plots: list[Plot]) -> None:
    """Write it.

    Raises:
        SidewireError: it cannot be written.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.globals |= {"beyond": beyond, "figure_text": figure_text, "named": named}
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        found=found,
        answers=answers(found.gains),
        rates=rates(found),
        by_level=by_level(found.gains),
        saved=saved_bits(found.saved),
        plots=plots,
        square=SQUARE,
    )
    write_atomically(path, page.encode())
