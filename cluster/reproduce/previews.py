"""The evidence of previews: what each contender shows of a picture in a few bytes, as tables and a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import pyarrow as pa
from rich.progress import Progress

from cluster.previews.contenders import Contender, contenders
from cluster.previews.page import FeedPart, write_page
from cluster.previews.table import means
from cluster.previews.trial import Trial, TrialRow, tried
from cluster.records import columns_of, write_table
from cluster.reproduce.evidence import Evidence, Request, feeds
from cluster.reproduce.sheet import SheetError
from cluster.reproduce.tables import Section
from shared.errors import SidewireError
from shared.feed import PICTURE_COLUMNS, count_rows, read_feed
from shared.pictures import picture_from_bytes

__all__ = ["BUDGETS", "EVIDENCE"]

#: In bytes: a usual BlurHash, and what a page might spend if it showed more.
BUDGETS = (28, 50, 100, 200)
#: Pictures a feed that stand on the page.
EXAMPLES = 3


def _trials(
    request: Request, path: Path, everybody: Mapping[str, Contender], progress: Progress
) -> Iterator[Trial]:
    """A feed's pictures in turn; one that cannot be read is reported and left out."""
    total = min(count_rows(path), request.limit or count_rows(path))
    rows = islice(read_feed(path, PICTURE_COLUMNS), total)
    for row in progress.track(rows, total=total, description=path.stem):
        try:
            picture = picture_from_bytes(row.image)
        except SidewireError as error:
            warning = f"warning: picture {row.id}: {error}"
            progress.console.print(warning, style="yellow", markup=False)
            continue
        yield tried(row.id, picture, everybody, BUDGETS)


def _part(request: Request, feed: tuple[str, Path], progress: Progress) -> FeedPart:
    """Try one feed; its rows are kept beside the tables."""
    name, path = feed
    rows: list[TrialRow] = []
    examples: list[Trial] = []
    for trial in _trials(request, path, contenders(), progress):
        rows += trial.rows
        if len(examples) < EXAMPLES:
            examples.append(trial)
    if not rows:
        raise SheetError(f"{name}: no picture could be read")
    schema = pa.schema(columns_of(TrialRow))
    target = request.out / f"{request.evidence}-{name.lower()}.parquet"
    write_table(target, [asdict(row) for row in rows], schema)
    return FeedPart(name, means(name, rows), tuple(rows), tuple(examples))


def previews(request: Request, progress: Progress) -> list[Section]:
    """Every contender within every budget, a table a feed, and the page."""
    parts = [_part(request, feed, progress) for feed in feeds(request).items()]
    page = request.out / f"{request.evidence}.html"
    write_page(page, parts)
    progress.console.print(f"The page is {page}", markup=False, soft_wrap=True)
    return [part.means for part in parts]


EVIDENCE: dict[str, Evidence] = {"previews": previews}
