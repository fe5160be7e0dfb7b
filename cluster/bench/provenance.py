"""What a run's figures are of: the code, the models, the machine."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cluster

__all__ = ["Provenance", "provenance"]


@dataclass(frozen=True)
class Provenance:
    """Attributes:
    at: when the run ended, UTC.
    commit: None outside a checkout. changed: files differ from it.
    models: ids of the streams' models, by codec.
    installation: as ``sidewire doctor --json`` has it: versions, weights, machine, cores, device.
    """

    at: str
    commit: str | None
    changed: bool
    models: dict[str, str]
    installation: dict[str, Any]


def provenance(models: dict[str, str]) -> Provenance:
    """Describe this process's installation. Loads torch, so not before everything is measured."""
    from cluster.doctor import examine  # noqa: PLC0415

    return Provenance(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=_git("rev-parse", "HEAD"),
        changed=bool(_git("status", "--porcelain")),
        models=models,
        installation=examine(load=False).model_dump(),
    )


def _git(*words: str) -> str | None:
    """What git says of the checkout that this package is in; None where there is none."""
    home = Path(cluster.__file__).parents[1]
    if not (home / ".git").exists():
        return None
    try:
        run = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(home), *words],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()
