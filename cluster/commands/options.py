"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["BundleFolder", "Json"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")]
BundleFolder = Annotated[
    Path | None,
    typer.Option("--bundle", help="Folder of another model bundle than the one that ships."),
]
