"""``sidewire demo``: the shipped news pictures through the codec, a table, and a page to look at."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import islice
from pathlib import Path

import jinja2
from PIL import Image
from rich.console import Console

from cluster.console import progress_bars
from cluster.evaluation import EvaluationResult, SummaryRow, evaluate, summary_table
from cluster.feeds import NEWSWIRE_FEED
from shared.codecs import get_codec
from shared.codecs.base import HyperpriorCodec
from shared.feed import FeedRow, read_feed
from shared.metrics import psnr
from shared.pictures import Picture, picture_from_bytes, write_atomically

__all__ = ["run_demo"]

CODEC = "base"
#: Levels of the table: all of ours, and of each baseline three or four between 0.05 and 0.8 bpp.
TABLE_QUALITIES = (*range(8), 20, 25, 40, 80)
#: Levels that the page shows each picture at, and the one that it opens with.
SHOWN_QUALITIES = (0, 2, 4, 6)
OPENS_WITH = 1


@dataclass(frozen=True)
class Version:
    """A decoded picture on the page: its file and what is said of it."""

    file: str
    button: str
    label: str


@dataclass(frozen=True)
class Post:
    """One picture of the page with its caption."""

    id: str
    caption: str
    source: str
    width: int
    height: int
    original: str
    versions: tuple[Version, ...]


@dataclass(frozen=True)
class TableRow:
    """A line of the page's table, already formatted."""

    codec: str
    quality: int
    bpp: str
    psnr: str
    ms_ssim: str
    encode_ms: str
    decode_ms: str
    ours: bool


def _save(folder: Path, name: str, picture: Picture) -> str:
    """Write a lossless file that every browser shows; returns its name."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True, method=0)
    write_atomically(folder / f"{name}.webp", buffer.getvalue())
    return f"{name}.webp"


def _post(row: FeedRow, codec: HyperpriorCodec, folder: Path) -> Post:
    picture = picture_from_bytes(row.image)
    height, width = picture.shape[:2]
    versions = []
    for quality in SHOWN_QUALITIES:
        encoded = codec.encode(picture, quality)
        write_atomically(folder / f"{row.id}-q{quality}.swi", encoded.blob)
        decoded = codec.decode(encoded.blob).picture
        kilobytes = len(encoded.blob) / 1000
        versions.append(
            Version(
                file=_save(folder, f"{row.id}-q{quality}", decoded),
                button=f"quality {quality} · {kilobytes:.1f} kB",
                label=f"{len(encoded.blob):,} bytes · {encoded.bits_per_pixel:.3f} bpp"
                f" · {psnr(picture, decoded):.1f} dB",
            )
        )
    return Post(
        id=row.id,
        caption=row.captions[0] if row.captions else "",
        source=row.source,
        width=width,
        height=height,
        original=_save(folder, f"{row.id}-original", picture),
        versions=tuple(versions),
    )


def _table(summary: Sequence[SummaryRow]) -> list[TableRow]:
    def shown(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    return [
        TableRow(
            codec=row.codec,
            quality=row.quality,
            bpp=shown(row.bpp, 3),
            psnr=shown(row.psnr, 2),
            ms_ssim=shown(row.ms_ssim, 4),
            encode_ms=shown(row.encode_ms, 0),
            decode_ms=shown(row.decode_ms, 0),
            ours=row.codec == CODEC,
        )
        for row in sorted(summary, key=lambda row: row.bpp)
    ]


def _write_page(folder: Path, posts: Sequence[Post], result: EvaluationResult, model: str) -> None:
    template = resources.files("cluster.pages").joinpath("report.html").read_text()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(template).render(
        codec=CODEC,
        model_id=model,
        posts=posts,
        shown=OPENS_WITH,
        summary=_table(result.summary),
        pictures=len(posts),
        threads=len(os.sched_getaffinity(0)),
    )
    write_atomically(folder / "index.html", page.encode())


def run_demo(report: Path, feed: Path | None, limit: int | None) -> None:
    """Measure every codec on the feed, write decoded pictures and the page, print the table.

    Raises:
        FeedError: the feed cannot be read. BundleError: the weights cannot.
    """
    feed = feed or NEWSWIRE_FEED
    codec = get_codec(CODEC)
    assert isinstance(codec, HyperpriorCodec)
    with progress_bars() as progress:
        result = evaluate(
            feed,
            [CODEC, "baseline/*"],
            TABLE_QUALITIES,
            report,
            ssimulacra2_every=0,
            limit=limit,
            progress=progress,
        )
        readable = {row.id for row in result.rows}
        rows = [row for row in islice(read_feed(feed), limit) if row.id in readable]
        bar = progress.add_task("writing pictures", total=len(rows))
        posts = []
        for row in rows:
            posts.append(_post(row, codec, report))
            progress.advance(bar)
    _write_page(report, posts, result, codec.model_id.hex())
    console = Console()
    console.print(summary_table(sorted(result.summary, key=lambda row: row.bpp)))
    console.print(f"Look at the pictures: {report / 'index.html'}", soft_wrap=True)
