"""What makes networks fast on a CPU computes what the plain layers compute."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks import packed
from shared.networks.layers import DepthwiseBlock, bicubic
from shared.networks.packed import pack_convolutions

DTYPES = [torch.float32, torch.bfloat16]
LAYOUTS = [torch.contiguous_format, torch.channels_last]

#: Kernel, stride, groups, channels in and out.
GEOMETRIES = {
    "pointwise": (1, 1, 1, 64, 32),
    "3x3": (3, 1, 1, 32, 48),
    "stride 2": (3, 2, 1, 16, 40),
    "depth-wise": (3, 1, 32, 32, 32),
    "groups": (5, 2, 4, 16, 32),
}


def convolution(geometry: str, dtype: torch.dtype) -> nn.Conv2d:
    kernel, stride, groups, inputs, outputs = GEOMETRIES[geometry]
    torch.manual_seed(1)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
    return layer.to(dtype).to(memory_format=torch.channels_last).requires_grad_(False)


def packed_for_use(layer: nn.Conv2d) -> nn.Module:
    """The layer as a codec has it: packed, but for bfloat16 on CPUs without instructions for it."""
    network = nn.Sequential(layer)
    pack_convolutions(network)
    return network[0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_packed_convolutions_differ_by_roundings_at_most(geometry: str, dtype: torch.dtype) -> None:
    """Some CPUs take other code for a packed layer, and torch takes its own for few pixels."""
    layer = convolution(geometry, dtype)
    ready = packed_for_use(layer)
    for height, width in ((1, 2), (16, 13), (65, 33)):
        x = torch.randn(1, layer.in_channels, height, width).to(dtype)
        for layout in LAYOUTS:
            given = x.contiguous(memory_format=layout)
            torch.testing.assert_close(ready(given), layer(given))


def test_packing_a_network_replaces_its_convolutions_and_keeps_their_weights() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(8, 16, 1), DepthwiseBlock(16)).requires_grad_(False)
    network.to(memory_format=torch.channels_last)
    x = torch.randn(1, 8, 24, 24)
    expected, names = network(x), list(network.state_dict())
    pack_convolutions(network)
    assert not any(isinstance(layer, nn.Conv2d) for layer in network.modules())
    assert list(network.state_dict()) == names
    torch.testing.assert_close(network(x), expected)


def test_nothing_is_packed_where_onednn_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    network = nn.Sequential(nn.Conv2d(8, 16, 1)).requires_grad_(False)
    pack_convolutions(network)
    assert isinstance(network[0], nn.Conv2d)


def test_bfloat16_stays_as_it_is_on_a_cpu_that_onednn_has_no_layout_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Older:
        """The operators of a CPU with AVX2 alone, which refuse what they are given."""

        def _is_mkldnn_bf16_supported(self) -> bool:
            return False

        def _reorder_convolution_weight(self, *args: object) -> Tensor:
            raise RuntimeError("mkldnn_reorder_conv2d_weight: bf16 path needs the cpu support")

    monkeypatch.setattr(packed, "_operators", Older)
    layer = convolution("3x3", torch.bfloat16)
    assert packed_for_use(layer) is layer


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (4, 7), (16, 48)])
def test_bicubic_enlargement_is_torchs(scale: int, size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size)
    expected = F.interpolate(x, scale_factor=scale, mode="bicubic")
    torch.testing.assert_close(bicubic(x, scale), expected, atol=1e-5, rtol=0)


def test_bicubic_enlargement_stays_exact_while_networks_train_in_bfloat16() -> None:
    x = torch.rand(2, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        enlarged = bicubic(x, 4)
    assert enlarged.dtype == torch.float32
    assert torch.equal(enlarged, bicubic(x, 4))
