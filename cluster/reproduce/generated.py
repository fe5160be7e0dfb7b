"""The generated-picture set: what the painter makes of captions and the coarsest references, and seeds.

It stands in for AIGI-SCD of Li et al., which is not free: pictures that no camera took, and whose words are
what they were made of. Everything follows from a feed and the seeds, so that nobody has to keep it.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pyarrow as pa
from rich.progress import Progress

from cluster.records import write_table
from cluster.reproduce.evidence import Evidence, Request, feeds
from cluster.reproduce.misc import halves, pictures_of, sections_of
from cluster.reproduce.tables import Section
from shared.pictures import quick_png
from shared.telling.telling import Telling

__all__ = ["EVIDENCE", "NAME", "generated_feed"]

#: In tables and files.
NAME = "Painted"
#: Whose captions they are made of.
FEED = "COCO"
#: A picture each, of the feed's first ones.
SEEDS = tuple(range(101, 125))
#: Level of base that references are of: the coarsest that the painter was trained on.
REFERENCE = 8
#: Levels of base beside those of misc: such pictures are smooth, and take few bits.
LADDER = range(10, 20)

_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("image", pa.binary()),
        pa.field("captions", pa.list_(pa.string())),
        pa.field("source", pa.string()),
    ]
)


def generated_feed(source: Path, path: Path, limit: int | None) -> None:
    """Write the set as a feed.

    Args:
        source: a captioned feed.
        path: of the feed to be written.
        limit: of pictures, for less than all seeds.
    """
    encoder, decoder = halves()
    rows = []
    given = islice(pictures_of(source, limit), len(SEEDS))
    for seed, (picture, captions) in zip(SEEDS, given, strict=False):
        telling = Telling(captions[0] if captions else "")
        level = encoder.qualities[-1]
        opened = decoder.open(encoder.sealed(picture, level, telling, REFERENCE).blob)
        image = quick_png(decoder.painted(opened, seed))
        name = f"painted-{seed}"
        made = f"painter of misc, seed {seed}"
        rows.append({"id": name, "image": image, "captions": list(captions), "source": made})
    write_table(path, rows, _SCHEMA)


def _generated(request: Request, progress: Progress) -> list[Section]:
    path = request.out / f"{NAME.lower()}.parquet"
    ((_, source),) = feeds(request, FEED).items()
    generated_feed(source, path, request.limit)
    return sections_of(request, (NAME, path), progress, LADDER)


EVIDENCE: dict[str, Evidence] = {"misc-generated": _generated}
