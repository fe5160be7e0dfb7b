"""What the stream's own pictures lack at each level: the unit that the terms of a loss are counted in.

One set of weights serves rates sixty times apart only where each term is a share of what there is at a level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from training.terms.step import Step

__all__ = ["Measure", "reference"]

#: A step to a value of each picture, (B,).
Measure = Callable[[Step], Tensor]


@torch.no_grad()
def reference(
    levels: int, measures: Mapping[str, Measure], steps: Iterable[Step]
) -> dict[str, Tensor]:
    """Means (levels,) of each measure over all pictures of some steps, on the CPU."""
    found = {name: torch.zeros(levels) for name in measures}
    counts = torch.zeros(levels)
    for step in steps:
        level = step.batch.quality.cpu()
        counts.index_add_(0, level, torch.ones(len(level)))
        for name, measure in measures.items():
            found[name].index_add_(0, level, measure(step).float().cpu())
    return {name: total / counts for name, total in found.items()}
