"""``sidewire compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.completion import codec_names, offered
from cluster.commands.evidence import Every
from cluster.commands.options import Json
from cluster.console import errors_in_one_line
from shared.extras import need

__all__ = ["compare"]


def compare(
    feed: Annotated[Path, typer.Option(help="Parquet file or folder with id, image, captions.")],
    out: Annotated[Path, typer.Option(help="Folder for the page, its pictures and the records.")],
    codecs: Annotated[
        str | None,
        typer.Option(
            help="Names with commas; * is a wildcard. [dim]default: base, every system that reads"
            " captions, their twins, WebP and AVIF[/]",
            autocompletion=offered(codec_names),
        ),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(
            help="The systems': 'all', or numbers with commas."
            " [dim]default: those of 0.02 to 0.2 bits a pixel[/]"
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Only the first pictures.")] = None,
    show: Annotated[int, typer.Option(min=0, help="Pictures to show side by side.")] = 3,
    ssimulacra2_every: Every = 1,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes; with more than one, no times are recorded.")
    ] = 1,
    json: Json = False,
) -> None:
    """Does the caption help more at the encoder or at the decoder? Tables, plots, and a page of pictures.

    Every system is told each picture's own caption, another picture's, and nothing, at whichever end reads
    it, and is held against itself, its twin and base at equal bits.
    """
    with errors_in_one_line():
        need("compare", "research")
        from cluster.compare.request import Request  # noqa: PLC0415
        from cluster.compare.run import compare_command  # noqa: PLC0415
        from cluster.evaluation.run import parse_levels  # noqa: PLC0415

        names = None if codecs is None else tuple(name.strip() for name in codecs.split(","))
        request = Request(
            feed=feed,
            out=out,
            codecs=names,
            levels=None if levels is None else parse_levels("--levels", levels),
            limit=limit,
            show=show,
            ssimulacra2_every=ssimulacra2_every,
            jobs=jobs,
        )
        compare_command(request, json)
