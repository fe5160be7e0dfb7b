"""A recipe: settings, and how a run is made of them; one command trains every kind.

A kind of recipe says what it reads, what learns in which phases, and what a finished run exports. Loading,
resuming, logging, checkpoints and provenance are here, once.
"""

from __future__ import annotations

import hashlib
import json
import os
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from shared.bundle import Provenance
from training.drive import CHECKPOINT, drive
from training.run import Run
from training.together import ALONE, Together

__all__ = ["Places", "Recipe", "levels_line", "provenance"]

DataT = TypeVar("DataT")


@dataclass(frozen=True)
class Places:
    """Where a run finds and leaves things.

    Attributes:
        data: folder that the configuration's globs start from.
        out: folder of the run: ``checkpoint.pt``, ``log.csv``, and a checkpoint at the end of each phase.
        bundle: folder to write the finished bundle to.
        snapshot: train no further: export what the checkpoint holds.
        start: checkpoint of another run whose first phases this one shares.
        workers: processes that decode pictures.
    """

    data: Path
    out: Path
    bundle: Path
    snapshot: bool = False
    start: Path | None = None
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)

    @property
    def cache(self) -> Path:
        """Folder for caption vectors and latents, shared by runs beside each other."""
        return self.out.parent / "cache"


class Recipe(BaseModel, Generic[DataT]):
    """Settings of a run, and what they mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$", description="what the bundle is for")
    seed: int = 1
    watch_steps: int = Field(500, ge=1, description="between two rows of validation in the log")

    def digest(self) -> str:
        """Hash of the settings, whatever their order, for provenance."""
        settings = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(settings.encode()).hexdigest()[:16]

    @abstractmethod
    def load(self, places: Places) -> DataT:
        """What the run learns from.

        Raises:
            FileNotFoundError: there is none.
        """

    @abstractmethod
    def begin(self, data: DataT) -> Run[Any]:
        """The run before its first step."""

    @abstractmethod
    def watch(self, run: Run[Any], data: DataT) -> str:
        """What the log says of a run: measured on pictures that it does not learn from."""

    @abstractmethod
    def export(self, run: Run[Any], data: DataT, places: Places) -> str:
        """Write the bundle; returns what to say of it in one line."""

    def finish(self, run: Run[Any], data: DataT) -> None:
        """What a snapshot still needs before it can be exported."""

    def carry_out(self, places: Places, together: Together = ALONE) -> str:
        """Train, continuing from ``out/checkpoint.pt`` where there is one, and write the bundle.

        Args:
            together: the workers that do it, all of which see the same places; the first one writes.

        Returns:
            What to say of the bundle in one line; of a worker that has not written it nothing.

        Raises:
            FileNotFoundError: no training data, or nothing to take a snapshot of.
            LimitError: a step has fewer pictures than there are workers.
        """
        places.out.mkdir(parents=True, exist_ok=True)
        checkpoint = places.out / CHECKPOINT
        if places.snapshot and not checkpoint.exists():
            raise FileNotFoundError(f"no checkpoint to export: {checkpoint}")
        # What the first worker leaves in the cache is read by the others.
        with together.first_one_first():
            data = self.load(places)
        run = self.begin(data)
        if checkpoint.exists():
            run.load(checkpoint)
        elif places.start is not None:
            run.load(places.start)
        run.join(together)
        if places.snapshot:
            self.finish(run, data)
        else:
            drive(run, lambda: self.watch(run, data), places.out, self.watch_steps)
        return self.export(run, data, places) if together.first else ""


def provenance(recipe: Recipe[Any], run: Run[Any], data_digest: str, **measured: Any) -> Provenance:
    """Where a run's numbers come from; ``measured`` are more of its fields."""
    return Provenance(
        config=recipe.name,
        config_digest=recipe.digest(),
        data_digest=data_digest,
        seed=recipe.seed,
        steps=run.done,
        hours=round(run.seconds / 3600, 2),
        **measured,
    )


def levels_line(named: Mapping[str, list[float]], digits: int) -> str:
    """Columns of levels for the log, such as ``bpp 0.02 0.04 | psnr 22.1 24.0``."""
    columns = (
        f"{name} " + " ".join(f"{value:.{digits}f}" for value in values)
        for name, values in named.items()
    )
    return " | ".join(columns)
