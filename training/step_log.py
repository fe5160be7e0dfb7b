"""``log.csv`` of a run: a row every few steps, written by the loop and read by whoever watches it."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

__all__ = ["LOG", "StepLog", "StepRow"]

LOG = "log.csv"


@dataclass(frozen=True)
class StepRow:
    """One line of ``log.csv``; the loss is a mean since the row before."""

    step: int
    phase: str
    seconds: float
    loss: float
    steps_per_second: float
    validation: str = ""

    @property
    def line(self) -> str:
        """The row as a console shows it."""
        line = f"{self.phase} step {self.step} loss {self.loss:.4f}"
        return f"{line} {self.steps_per_second:.2f} steps/s {self.validation}".rstrip()


class StepLog:
    """The log in a run's folder; what is there already is not read again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._read = self._path.stat().st_size if self._path.exists() else 0

    def add(self, row: StepRow) -> None:
        """Write a row behind the others."""
        fresh = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(asdict(row)))
            if fresh:
                writer.writeheader()
            writer.writerow(asdict(row))

    def newer(self) -> list[StepRow]:
        """Rows that were written since the last look, by whatever process."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            whole = file.read()
        # The last line may be half written.
        whole = whole[: whole.rfind(b"\n") + 1]
        names = [one.name for one in fields(StepRow)]
        lines = whole.decode().splitlines()
        if self._read == 0:
            lines = lines[1:]
        self._read += len(whole)
        return [
            StepRow(
                int(row["step"]),
                row["phase"],
                float(row["seconds"]),
                float(row["loss"]),
                float(row["steps_per_second"]),
                row["validation"],
            )
            for row in csv.DictReader(lines, names)
        ]
