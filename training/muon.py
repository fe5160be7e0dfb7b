"""Muon: momentum whose matrix is orthogonalised before it is applied.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with the step scaled as
in Liu et al., "Muon is Scalable for LLM Training" (2025), so that AdamW's learning rate carries over.
``torch.optim.Muon`` takes two-dimensional parameters only; a convolution's weight is one matrix of
``out x (in * k * k)`` here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "matrices_of", "muon_and_adamw"]

#: Quintic Newton-Schulz iteration, tuned for slope at zero (Jordan et al.).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
#: RMS of an AdamW update that the scaled step matches (Liu et al.).
MATCHED_RMS = 0.2
#: Smaller weights stay with AdamW: their update is cheap and noisy.
SMALLEST_MATRIX = 4096


def matrices_of(module: nn.Module) -> list[nn.Parameter]:
    """The weights that Muon trains: dense convolutions of some size (depth-wise ones are not matrices)."""
    return [
        parameter
        for parameter in module.parameters()
        if parameter.ndim == 4 and parameter.shape[1] > 1 and parameter.numel() >= SMALLEST_MATRIX
    ]


def orthogonalise(matrix: Tensor) -> Tensor:
    """Nearest semi-orthogonal matrix, roughly: all singular values end near 1. bfloat16 inside."""
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = (x.T if tall else x).to(matrix.dtype)
    return result


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised. Parameters of any shape are read as ``(shape[0], -1)``."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply one update to every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group["lr"], group["momentum"])

    def _update(self, parameter: Tensor, lr: float, momentum: float) -> None:
        assert parameter.grad is not None
        state: dict[str, Any] = self.state[parameter]
        gradient = parameter.grad.reshape(parameter.shape[0], -1)
        buffer = state.setdefault("momentum", torch.zeros_like(gradient))
        buffer.mul_(momentum).add_(gradient)
        direction = orthogonalise(gradient + momentum * buffer)
        scale = MATCHED_RMS * math.sqrt(max(direction.shape))
        parameter.sub_(direction.reshape(parameter.shape), alpha=lr * scale)


def muon_and_adamw(
    module: nn.Module, rate: float, more: Iterable[nn.Parameter] = ()
) -> list[torch.optim.Optimizer]:
    """Muon for a module's matrices, AdamW for its other parameters and ``more``, at one rate."""
    matrices = matrices_of(module)
    taken = {id(parameter) for parameter in matrices}
    rest = [parameter for parameter in module.parameters() if id(parameter) not in taken]
    adamw = torch.optim.AdamW([*rest, *more], lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    return [Muon(matrices, lr=rate), adamw]
