"""``sidewire eval`` and ``sidewire reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json
from cluster.console import EXIT_USAGE, errors_in_one_line, stop
from shared.extras import need

__all__ = ["evaluate", "reproduce"]

Every = Annotated[
    int,
    typer.Option("--ssimulacra2-every", min=1, help="Measure SSIMULACRA2 on every n-th picture."),
]


def evaluate(
    feed: Annotated[Path, typer.Option(help="Parquet file or folder with id, image, captions.")],
    out: Annotated[Path, typer.Option(help="Folder for results.parquet, summary.json and plots.")],
    codecs: Annotated[str, typer.Option(help="Names with commas; * is a wildcard.")] = "base",
    qualities: Annotated[str, typer.Option(help="'all', or levels with commas.")] = "all",
    text: Annotated[
        str,
        typer.Option(
            help="What is told: [bold]matched[/], none, mismatched, generic, all-captions;"
            " several with commas."
        ),
    ] = "matched",
    ssimulacra2_every: Every = 1,
    matching: Annotated[
        bool, typer.Option(help="Measure feature distance and judge score.")
    ] = True,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first pictures.")] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes; with more than one, no times are recorded.")
    ] = 1,
    json: Json = False,
) -> None:
    """Compare codecs on the same pictures: real bytes, distortion, text, BD-rates and plots."""
    with errors_in_one_line():
        need("eval", "research")
        from cluster.evaluation.run import evaluate_command  # noqa: PLC0415

        evaluate_command(
            feed, codecs, qualities, out, text, ssimulacra2_every, matching, limit, jobs, json
        )


def reproduce(
    evidence: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="ssa-stream, ssa-table1, ssa-table2, ssa-masks, ssa-recipes, ssa-words, ssa-bytes,"
            " selic-fusion, selic-semantics, taco-ablation, tgic-irc, tgic-losses, tgic-blocks,"
            " misc-levels, misc-table4, misc-generated,"
            " text-prior or previews.",
        ),
    ],
    data: Annotated[Path, typer.Option(help="Folder with test/ and val/, and train/ to train.")],
    out: Annotated[Path, typer.Option(help="Folder for tables, rows and figures.")] = Path(
        "out/reproduce"
    ),
    variants: Annotated[
        Path, typer.Option(help="Folder of the ablation's bundles, a sub-folder each.")
    ] = Path("runs/variants"),
    joint: Annotated[
        Path, typer.Option(help="Folder of the joint recipe's bundles, a sub-folder each.")
    ] = Path("runs/joint"),
    train: Annotated[
        bool, typer.Option("--train", help="Train variants that are missing there first.")
    ] = False,
    quality: Annotated[
        int, typer.Option("--quality", "-q", help="Level of table 2 and of the masks.")
    ] = 11,
    levels: Annotated[
        str,
        typer.Option(help="Of the tables of selic, taco and tgic: 'all', or numbers with commas."),
    ] = "all",
    ssimulacra2_every: Every = 1,
    limit: Annotated[
        int | None, typer.Option(min=2, help="Only the first pictures of each feed.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Measure counterparts of the paper's tables on the weights here, or previews beside others' hashes."""
    with errors_in_one_line():
        need("reproduce", "research")
        from cluster.evaluation.run import parse_levels  # noqa: PLC0415
        from cluster.reproduce.evidence import Request  # noqa: PLC0415
        from cluster.reproduce.run import EVIDENCE, reproduce_command  # noqa: PLC0415
        from shared.errors import SidewireError  # noqa: PLC0415

        if evidence not in EVIDENCE:
            known = ", ".join(EVIDENCE)
            stop(SidewireError(f"nothing called {evidence!r}; known: {known}"), EXIT_USAGE)
        request = Request(
            evidence,
            data,
            out,
            variants,
            joint,
            train,
            quality,
            parse_levels("--levels", levels),
            ssimulacra2_every,
            limit,
            jobs,
        )
        reproduce_command(request)
