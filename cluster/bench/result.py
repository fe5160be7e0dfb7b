"""What a run leaves for programs: the content of ``summary.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cluster.bench.kodak import PeerQuality
from cluster.bench.options import BenchOptions
from cluster.bench.peer import PeerSpeed
from cluster.bench.provenance import Provenance
from cluster.bench.summary import Point
from cluster.records import plain

__all__ = ["BenchResult"]


@dataclass(frozen=True)
class BenchResult:
    """All figures of a run.

    Attributes:
        valid: at every point the load was the one that was asked for.
        efficiency_vs_bare_loop: of the point with the highest rate; None where it was not measured.
        speed_vs_compressai: pictures a second that a codec of ours encodes and decodes, by those of
            CompressAI's ``mbt2018_mean``; None where it was not measured.
        points: a number of decoders each.
        compressai_quality: the curves that belong to the speeds; None where the codec has none.
    """

    valid: bool
    frames_per_s: float
    goodput_per_s: float
    efficiency_vs_bare_loop: float | None
    speed_vs_compressai: float | None
    points: Sequence[Point]
    compressai: PeerSpeed | None
    compressai_quality: PeerQuality | None
    options: BenchOptions
    provenance: Provenance

    @classmethod
    def of(
        cls,
        points: Sequence[Point],
        compressai: PeerSpeed | None,
        compressai_quality: PeerQuality | None,
        options: BenchOptions,
        provenance: Provenance,
    ) -> BenchResult:
        """The figures of a run whose points are measured."""
        best = max(points, key=lambda point: point.achieved.value)
        ratio = best.efficiency_vs_bare_loop
        return cls(
            valid=all(point.valid for point in points),
            frames_per_s=best.achieved.value,
            goodput_per_s=best.goodput.value,
            efficiency_vs_bare_loop=ratio.value if ratio else None,
            speed_vs_compressai=compressai.times_faster if compressai else None,
            points=points,
            compressai=compressai,
            compressai_quality=compressai_quality,
            options=options,
            provenance=provenance,
        )

    def to_json(self) -> dict[str, Any]:
        """The result as ``summary.json`` has it; null stands for what is not a finite number."""
        values = asdict(self) | {"options": self.options.model_dump(mode="json")}
        summary: dict[str, Any] = json.loads(json.dumps(plain(values)))
        return summary
