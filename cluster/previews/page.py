"""The page: tables, some pictures side by side at each budget, and every picture's figures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import jinja2
from PIL import Image

from cluster.previews.contenders import Shown
from cluster.previews.trial import Trial, TrialRow
from cluster.reproduce.tables import Section, cell_text
from shared.pictures import Picture, write_atomically

__all__ = ["FeedPart", "write_page"]

TEMPLATE = Path(__file__).parent / "page.html"
#: Pixels of the longer edge at which pictures stand on the page.
SIDE = 224


@dataclass(frozen=True)
class FeedPart:
    """What the page shows of one feed: means, every picture's rows, and some pictures."""

    name: str
    means: Section
    rows: tuple[TrialRow, ...]
    examples: tuple[Trial, ...]


def _source(picture: Picture) -> str:
    """A picture within the page itself, pixels as they are or reduced to the page's size."""
    image, file = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((SIDE, SIDE))
    image.save(file, "WEBP", lossless=True)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _budgets(trial: Trial) -> list[tuple[int, list[tuple[TrialRow, Shown | None]]]]:
    """A trial's rows and pictures, by budget."""
    pairs = zip(trial.rows, trial.shown, strict=True)
    return [(budget, list(own)) for budget, own in groupby(pairs, lambda pair: pair[0].budget)]


def _lines(rows: Sequence[TrialRow]) -> list[tuple[str, list[TrialRow]]]:
    """A feed's rows, by picture."""
    return [(name, list(own)) for name, own in groupby(rows, lambda row: row.id)]


def write_page(path: Path, parts: Sequence[FeedPart]) -> None:
    """Write one file that opens from disk, pictures and all.

    Raises:
        SidewireError: it cannot be written.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"source": _source, "budgets": _budgets, "lines": _lines}
    environment.globals["cell_text"] = cell_text
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(parts=parts)
    write_atomically(path, page.encode())
