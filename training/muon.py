"""Muon: momentum whose matrix is orthogonalised before it is applied.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with the step scaled as
in Liu et al., "Muon is Scalable for LLM Training" (2025), so that AdamW's learning rate carries over.
``torch.optim.Muon`` takes two-dimensional parameters only; a convolution's weight is one matrix of
``out x (in * k * k)`` here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from shared.networks.precision import coarse_dtype

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


def orthogonalise(matrices: Tensor) -> Tensor:
    """Nearest semi-orthogonal matrices of (n, r, c), roughly: singular values end near 1.

    Inside they are as coarse as is fast on their device.
    """
    a, b, c = COEFFICIENTS
    x = matrices.to(coarse_dtype(matrices.device))
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    result: Tensor = (x.mT if tall else x).to(matrices.dtype)
    return result


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised. Parameters of any shape are read as ``(shape[0], -1)``.

    Parameters of one shape are orthogonalised together: a GPU would spend its time on launches otherwise.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply one update to every parameter that has a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for parameters in alike.values():
                self._update(parameters, group["lr"], group["momentum"])

    def _update(self, parameters: list[nn.Parameter], lr: float | Tensor, momentum: float) -> None:
        gradients = [one.grad.reshape(len(one), -1) for one in parameters if one.grad is not None]
        buffers = [
            self.state[one].setdefault("momentum", torch.zeros_like(gradient))
            for one, gradient in zip(parameters, gradients, strict=True)
        ]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, gradients)
        ahead = torch._foreach_add(gradients, buffers, alpha=momentum)
        directions = orthogonalise(torch.stack(list(ahead)))
        step = MATCHED_RMS * math.sqrt(max(directions.shape[1:])) * lr * directions
        for parameter, change in zip(parameters, step, strict=True):
            parameter.sub_(change.reshape(parameter.shape))


def muon_and_adamw(
    module: nn.Module, rate: float, more: Iterable[nn.Parameter] = ()
) -> list[torch.optim.Optimizer]:
    """Muon for a module's matrices, AdamW for its other parameters and ``more``, at one rate."""
    matrices = matrices_of(module)
    taken = {id(parameter) for parameter in matrices}
    rest = [parameter for parameter in module.parameters() if id(parameter) not in taken]
    adamw = torch.optim.AdamW([*rest, *more], lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    return [*([Muon(matrices, lr=rate)] if matrices else []), adamw]
