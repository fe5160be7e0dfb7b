"""A lower bound that lets a gradient back in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["at_least"]


def at_least(x: Tensor, bound: float) -> Tensor:
    """``max(x, bound)``; below the bound the gradient passes where it would raise x, and nowhere else."""
    out: Tensor = _AtLeast.apply(x, bound)
    return out


class _AtLeast(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp(min=bound)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        return gradient * ((x >= ctx.bound) | (gradient < 0)), None
