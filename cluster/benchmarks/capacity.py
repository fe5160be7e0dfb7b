"""What the capacity model says of a run that was measured: is a plan to be believed?

    sidewire bench --feed cluster/feeds/kodak8.parquet --decoders 1,2,4 --out out/bench
    python -m cluster.benchmarks.capacity out/bench

Service times are those of the report's point with the fewest decoders, as for ``sidewire bench --plan``. All
parts of such a run share one machine, so its processors are one limit more; the others are the plan's own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.bench.capacity import Plan, capacity
from cluster.bench.service_times import ServiceTimes

__all__ = ["Checked", "checked"]


@dataclass(frozen=True)
class Checked:
    """One number of decoders: pictures a second, measured and planned; ``ratio`` is planned by measured."""

    decoders: int
    measured: float
    planned: float
    ratio: float


def checked(report: Path) -> Sequence[Checked]:
    """All points of a report.

    Raises:
        ReportError: it is none.
    """
    times = ServiceTimes.read(report)
    summary = json.loads((report / "summary.json").read_text(encoding="utf-8"))
    cores = summary["provenance"]["installation"]["cores"]
    shared = cores / (times.decode + times.send + times.gateway)
    found = []
    for point in summary["points"]:
        rate = capacity(Plan(1, cpus=point["decoders"]), times).rate
        assert rate is not None  # of CPUs there always is one
        measured, planned = point["achieved"]["value"], min(rate, shared)
        found.append(Checked(point["decoders"], measured, planned, planned / measured))
    return found


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="folder of a run of sidewire bench")
    found = checked(parser.parse_args().report)
    print(json.dumps({"points": [asdict(one) for one in found]}))


if __name__ == "__main__":
    main()
