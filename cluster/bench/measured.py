"""What one repeat has measured, as it comes from its parts."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.bench.bare import BareRate
from cluster.bench.rows import FrameRow

__all__ = ["GpuUse", "Repeat"]


@dataclass(frozen=True, slots=True)
class GpuUse:
    """The use of this machine's GPUs: mean share of the time in which a kernel ran, most memory in MB."""

    busy: float
    memory_mb: float

    @classmethod
    def over(cls, uses: Sequence[GpuUse]) -> GpuUse | None:
        """The use over several moments or repeats, equally long; None where nothing was seen."""
        if not uses:
            return None
        return cls(statistics.fmean(use.busy for use in uses), max(use.memory_mb for use in uses))


@dataclass(frozen=True)
class Repeat:
    """One repeat with a number of decoders.

    Attributes:
        resent: messages of senders beyond one a frame.
        stalls: seconds of each time in which a sender had frames ready and no credit.
        failed: one line for each frame that the receiver will not have.
        captions: how many ended how.
        cores: that were busy in the mean, by role.
        bare: the bare loop right after; None where it was not measured.
    """

    rows: Sequence[FrameRow]
    resent: int
    stalls: Sequence[float]
    failed: Sequence[str]
    captions: Mapping[str, int]
    cores: Mapping[str, float]
    gpu: GpuUse | None
    bare: BareRate | None
