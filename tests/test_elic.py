"""ELIC's transforms and slices, and Fu et al.'s: parameters, stages, reach, a step at paper size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from shared.codecs.parts import Parts
from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.networks.cheng import ChengAnalysis, ChengSize, ChengSynthesis
from shared.networks.elic import ElicAnalysis, ElicSize, ElicSynthesis
from shared.networks.slices import SliceSize
from shared.networks.stages import Conditioner, Conditioning
from training.integers import Integers

NARROW = ElicSize(width=8, latent=12)
QUALITY = torch.zeros(1, dtype=torch.int64)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def conv(kernel: int, before: int, after: int) -> int:
    """Parameters of a convolution."""
    return kernel**2 * before * after + after


def bottleneck(channels: int) -> int:
    half = channels // 2
    return conv(1, channels, half) + conv(3, half, half) + conv(1, half, channels)


def attention(channels: int) -> int:
    return 6 * bottleneck(channels) + conv(1, channels, channels)


def hyperprior(n: int, slices: SliceSize) -> Hyperprior:
    m = sum(slices.widths)
    size = HyperpriorSize(levels=1, latent=m, hyper_latent=n, hyper_hidden=n, context=slices)
    return Hyperprior(size)


def elic() -> Parts:
    """He et al.'s codec: N = 192, M = 320 in slices of 16, 16, 32, 64, 192."""
    slices = SliceSize(widths=(16, 16, 32, 64, 192), checkerboard=True)
    size = ElicSize()
    return Parts(ElicAnalysis(size), hyperprior(192, slices), ElicSynthesis(size), levels=1)


def fu() -> Parts:
    """Fu et al.'s: N = 128, and M = 320 in ten slices."""
    size = ChengSize(latent=320, width=128, attention=False)
    latent = hyperprior(128, SliceSize(widths=(32,) * 10))
    return Parts(ChengAnalysis(size), latent, ChengSynthesis(size), levels=1)


# -- sizes ----------------------------------------------------------------------------------------


def test_elic_has_the_papers_transforms() -> None:
    """7.34 M parameters each; what CompressAI 1.2.8 builds from the paper has as many."""
    with torch.device("meta"):
        parts = elic()
    outer = conv(5, 192, 320) + attention(320)
    inner = 2 * conv(5, 192, 192) + 9 * bottleneck(192) + attention(192)
    assert count(parts.g_a) == conv(5, 3, 192) + inner + outer == 7_337_792
    assert count(parts.g_s) == conv(5, 192, 3) + inner + outer - 320 + 192 == 7_337_475


def test_elics_entropy_model_is_smaller_by_what_scales_need() -> None:
    """24.3 M parameters in all, not 32.1: slices give no scales, and h_a and h_mu are the house's of 3x3."""
    with torch.device("meta"):
        parts = elic()
    latent = parts.latent
    assert isinstance(latent, Hyperprior)
    assert latent.context is not None
    before, widths = (16, 32, 64, 128), (16, 16, 32, 64, 192)
    hyper = 5 * conv(1, 192, 4 * 224)
    channels = sum(conv(5, known, 224) for known in before) + 5 * conv(5, 224, 128)
    places = sum(12 * width * 128 + 128 for width in widths)
    last = 5 * conv(1, 128, 128) + sum(conv(1, 128, width) for width in widths)
    gains = 2 * 320
    assert count(latent.context) == hyper + channels + places + last + gains == 6_410_816
    assert count(latent) == 9_657_664
    assert count(parts) == 24_332_931


def test_fus_slices_are_most_of_it() -> None:
    """25.9 M parameters; its authors state 52.22 MB, 13 M, and neither M nor the widths of their slices."""
    with torch.device("meta"):
        parts = fu()
    latent = parts.latent
    assert isinstance(latent, Hyperprior)
    assert latent.context is not None
    assert count(parts.g_a) == 2_079_040
    assert count(parts.g_s) == 5_491_084
    assert count(latent.context) == 16_598_176
    assert count(parts) == 25_857_836


# -- stages ---------------------------------------------------------------------------------------


class Recorder(Conditioner):
    """Changes nothing, and knows what it has seen."""

    reach = 0

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels, self.seen = channels, torch.Size()

    def masked(self, y: Tensor, given: Conditioning) -> tuple[Tensor, Tensor | None]:
        self.seen = y.shape
        return y, None


class Far(Recorder):
    """Claims to depend on places around."""

    reach = 4


@pytest.mark.parametrize(
    ("kind", "sides"),
    [
        (ElicAnalysis, {"stem": 2, "quarter": 4, "eighth": 8, "latent": 16}),
        (ElicSynthesis, {"up8": 8, "up4": 4, "up2": 2, "picture": 1}),
    ],
)
def test_conditioners_stand_at_the_resolutions_that_stages_are_named_after(
    kind: type[ElicAnalysis | ElicSynthesis], sides: dict[str, int]
) -> None:
    network = kind(NARROW, at=dict.fromkeys(sides, Recorder))
    x = torch.zeros(1, 3, 64, 128) if kind is ElicAnalysis else torch.zeros(1, 12, 4, 8)
    out = network(x, QUALITY, Conditioning(torch.zeros(1, 1)))
    assert out.shape[1:] == ((12, 4, 8) if kind is ElicAnalysis else (3, 64, 128))
    for name, side in sides.items():
        found = network.at[name]
        assert isinstance(found, Recorder)
        assert found.seen == (1, found.channels, 64 // side, 128 // side)
    assert network.halo == kind(NARROW).halo
    # Four places are as many pixels as the stage's places are wide.
    for name, side in sides.items():
        assert kind(NARROW, at={name: Far}).halo == -(-(132 + 4 * side) // 16)


@pytest.mark.parametrize("kind", [ElicAnalysis, ElicSynthesis])
def test_the_halo_is_what_the_transform_sees(kind: type[ElicAnalysis | ElicSynthesis]) -> None:
    """By the gradient of one latent, or of its pixels; ReLUs are taken out, so that none hides anything."""
    torch.manual_seed(1)
    network = kind(NARROW).double()
    for layer in network.modules():
        for name, child in layer.named_children():
            if isinstance(child, nn.ReLU):
                setattr(layer, name, nn.Identity())
    side, middle = 24, 12
    analyses = kind is ElicAnalysis
    shape = (1, 3, 16 * side, 32) if analyses else (1, 12, side, 2)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    out = network(x, QUALITY)
    step = 1 if analyses else 16
    out[..., step * middle : step * (middle + 1), :].sum().backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten() // (16 if analyses else 1)
    assert int((rows - middle).abs().max()) == network.halo


# -- a step ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [elic, fu])
def test_a_step_at_paper_size(make: object) -> None:
    torch.manual_seed(0)
    parts: Parts = make()  # type: ignore[operator]
    latent = parts.latent
    assert isinstance(latent, Hyperprior)
    assert latent.context is not None
    Integers(latent, torch.device("cpu"))
    parts.train()
    x = nn.functional.interpolate(torch.rand(1, 3, 4, 4), (64, 64), mode="bilinear")
    optimiser = torch.optim.Adam(parts.parameters(), 1e-4)
    losses = []
    for _ in range(2):
        optimiser.zero_grad()
        out = parts(x, QUALITY)
        assert out.bits is not None
        loss = 255**2 * 0.01 * (out.x_hat - x).square().mean() + out.bits.mean() / 64**2
        loss.backward()
        losses.append(float(loss.detach()))
        for network in (parts.g_a, parts.g_s, latent.context):  # z is zero still
            assert all(one.grad.any() for one in network.parameters())
        assert all(one.grad.isfinite().all() for one in parts.parameters() if one.grad is not None)
        optimiser.step()
    assert losses[1] < losses[0]
