"""What holds for every context that corrects means by what is decoded."""

from __future__ import annotations

import torch
from torch import Tensor

from shared.networks.context import MeanContext
from shared.networks.slices import SliceContext

__all__ = ["assert_means_depend_on_earlier_steps_alone"]


def assert_means_depend_on_earlier_steps_alone(
    context: MeanContext | SliceContext, latent: int, features: int, quality: Tensor
) -> None:
    """Change each step's values by turns, and see which steps' means follow: all the later ones, no other."""
    torch.manual_seed(1)
    mu, known = torch.randn(2, latent, 8, 8), torch.randn(2, features, 4, 4)
    values = context.fold(torch.randn(2, latent, 8, 8))

    def means_for(decoded: list[Tensor]) -> list[Tensor]:
        seen: list[Tensor] = []

        def decode(step: int, mean: Tensor) -> Tensor:
            assert step == len(seen)
            seen.append(mean)
            return decoded[step]

        assert all(map(torch.equal, context.steps(mu, known, quality, decode), decoded))
        return seen

    first = means_for([*values])
    for changed in range(len(values)):
        others = means_for([value + (step == changed) for step, value in enumerate(values)])
        for step, pair in enumerate(zip(first, others, strict=True)):
            assert pair[0].shape == values[step].shape
            assert torch.equal(*pair) == (step <= changed)
