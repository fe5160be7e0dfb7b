"""MS-SSIM as a loss: the measure that is reported, with gradients wherever training may go."""

from __future__ import annotations

import pytest
import torch
from pytorch_msssim import ms_ssim as published
from torch import Tensor
from torch.nn import functional as F

from training.terms.similarity import ms_ssim


def smooth(side: int, seed: int) -> Tensor:
    """Two pictures with detail at several scales, in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        F.interpolate(
            torch.rand(2, 3, side // step, side // step, generator=generator),
            size=(side, side),
            mode="bicubic",
        )
        for step in (2, 8, 16)
    ]
    return torch.stack(layers).mean(0).clamp(0, 1)


@pytest.mark.parametrize("side", [176, 192, 224])
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.3])
def test_it_is_the_published_measure(side: int, noise: float) -> None:
    x = smooth(side, 1)
    y = (x + noise * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)
    expected = published(x, y, data_range=1, size_average=False)
    torch.testing.assert_close(ms_ssim(x, y), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (smooth(176, 1), 1 - smooth(176, 1)),
        (torch.zeros(1, 3, 176, 176), torch.ones(1, 3, 176, 176)),
        (torch.full((1, 3, 176, 176), 0.5), torch.full((1, 3, 176, 176), 0.5)),
        (smooth(176, 1), smooth(176, 1)),
        (smooth(176, 1), 1e3 * smooth(176, 2) - 500),
    ],
    ids=["negative", "black and white", "both flat", "equal", "out of range"],
)
def test_gradients_are_finite_where_nothing_or_everything_is_alike(x: Tensor, y: Tensor) -> None:
    y = y.clone().requires_grad_(True)
    value = ms_ssim(x, y)
    value.sum().backward()
    assert y.grad is not None
    assert torch.isfinite(value).all()
    assert torch.isfinite(y.grad).all()


def test_a_step_along_the_gradient_makes_pictures_more_alike() -> None:
    x = smooth(176, 1)
    y = (x + 0.1 * torch.randn(x.shape)).requires_grad_(True)
    before = ms_ssim(x, y)
    (gradient,) = torch.autograd.grad(before.sum(), y)
    after = ms_ssim(x, y + 0.01 * gradient.sign())
    assert (after > before).all()
