"""The integer branch: exact against plain integer arithmetic, and what its trained twin learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shared.entropy import scale_branch
from shared.entropy.scale_branch import IntegerConv, IntegerScaleBranch
from shared.latents.hyperprior import HyperpriorSize
from training.scale_branch import ScaleBranch

SIZE = HyperpriorSize(levels=3, hyper_latent=12, latent=10, scale_hidden=(8, 6))


def random_layer(rng: np.random.Generator, inputs: int, outputs: int, kernel: int) -> IntegerConv:
    return IntegerConv(
        torch.from_numpy(rng.integers(-127, 128, (outputs, inputs, kernel, kernel), np.int8)),
        torch.from_numpy(rng.integers(-(2**20), 2**20, (3, outputs), np.int32)),
        torch.from_numpy(rng.integers(2**14, 2**15, outputs, np.int32)),
        torch.from_numpy(rng.integers(20, 30, outputs, np.int32)),
        255,
    )


def reference(layer: IntegerConv, x: np.ndarray, quality: int) -> np.ndarray:
    """The layer in Python integers, one output at a time, as docs/protocol.md writes it."""
    k = layer.kernel
    weight = layer.matrix.numpy().astype(int).reshape(-1, x.shape[0], k, k)
    padded = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    out = np.empty((len(weight), *x.shape[1:]), int)
    for channel, row, column in np.ndindex(out.shape):
        window = padded[:, row : row + k, column : column + k]
        total = int((weight[channel] * window).sum()) + int(layer.bias[quality, channel])
        m, s = int(layer.multiplier[channel]), int(layer.shift[channel])
        out[channel, row, column] = min(max((total * m + (1 << (s - 1))) >> s, 0), layer.limit)
    return out


@pytest.mark.parametrize("kernel", [1, 3])
def test_layer_equals_plain_integers(kernel: int) -> None:
    rng = np.random.default_rng(kernel)
    layer = random_layer(rng, 7, 9, kernel)
    x = rng.integers(0, 256, (7, 11, 5))
    found = layer(torch.from_numpy(x)[None].double(), torch.tensor([2]))[0].numpy()
    np.testing.assert_array_equal(found, reference(layer, x, 2))


def test_strips_do_not_change_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    layer = random_layer(rng, 4, 4, 3)
    x = torch.from_numpy(rng.integers(0, 256, (1, 4, 40, 9))).double()
    whole = layer(x, torch.tensor([0]))
    monkeypatch.setattr(scale_branch, "STRIP_ROWS", 7)
    assert torch.equal(layer(x, torch.tensor([0])), whole)


def test_sums_that_float64_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="not exact"):
        IntegerConv(
            torch.full((1, 1, 1, 1), 127, dtype=torch.int8),
            torch.full((1, 1), 2**31 - 1, dtype=torch.int32),
            torch.full((1,), 2**31 - 1, dtype=torch.int32),
            torch.ones(1, dtype=torch.int32),
            255,
        )


def trained_twin() -> ScaleBranch:
    """A branch with lively weights whose peaks were seen in float."""
    torch.manual_seed(3)
    twin = ScaleBranch(SIZE)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    twin.train()
    for _ in range(3):
        twin(torch.randint(-9, 10, (6, 12, 5, 4)).float(), torch.arange(6) % 3)
    twin.begin_quantised()
    return twin


def test_export_computes_what_was_trained() -> None:
    """Index for index; a fake-quantised tie may round the other way, which costs one step."""
    twin = trained_twin()
    branch = IntegerScaleBranch.from_tensors(twin.export())
    z = torch.randint(-20, 21, (1, 12, 6, 7))
    for quality in range(3):
        learned = twin(z.float(), torch.tensor([quality])).clamp(0, 63)
        difference = (branch(z, torch.tensor([quality])).float() - learned).abs()
        assert difference.max() <= 1
        assert (difference > 0).float().mean() < 0.01


def test_quality_and_clamp_reach_the_output() -> None:
    branch = IntegerScaleBranch.from_tensors(trained_twin().export())
    z = torch.randint(-20, 21, (1, 12, 6, 7))
    assert not torch.equal(branch(z, torch.tensor([0])), branch(z, torch.tensor([1])))
    assert torch.equal(
        branch(z * 1000, torch.tensor([0])), branch((z * 1000).clamp(-127, 127), torch.tensor([0]))
    )
    indices = branch(z, torch.tensor([0]))
    assert indices.dtype == torch.uint8
    assert indices.shape == (1, 10, 24, 28)
    assert int(indices.max()) <= 63
