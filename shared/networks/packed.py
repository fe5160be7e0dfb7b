"""Convolutions whose weights lie as oneDNN wants them, instead of being reordered at every call.

A CPU spends more time on that reordering than on the convolution where pictures are small: twenty
megabytes for each 64x64 preview. How weights are to lie depends on the size of what comes in: without AVX-512
those that were ordered for another size take a hundred times as long to reorder as plain ones. So they are
ordered again when the size changes. The operators are those that torch's own compiler emits for CPUs; where
a build of torch has none, oneDNN is switched off, or it has no instructions for a layer's bfloat16, layers
stay as they are. Results are the same but for roundings: to the bit on CPUs with AVX-512 where torch takes
oneDNN for plain layers too, which it does not for few pixels in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["pack_convolutions"]


class PackedConv2d(nn.Module):
    """A convolution for inference on a CPU; ``weight`` stays for those who read it."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self._geometry = (
            list(layer.padding),
            list(layer.stride),
            list(layer.dilation),
            layer.groups,
        )
        #: Height and width that weights lie ready for, and these weights.
        self._packed: tuple[torch.Size, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in the weight's dtype."""
        # Shuffles leave other layouts behind, and this operator keeps the one that it is given.
        x = x.contiguous(memory_format=torch.channels_last)
        out: Tensor = _operators()._convolution_pointwise(
            x, self._ready(x.shape), self.bias, *self._geometry, "none", [], ""
        )
        return out

    def _ready(self, shape: torch.Size) -> Tensor:
        """Weights for an input of this shape, of whatever batch; those of the last size are kept."""
        packed = self._packed
        if packed is None or packed[0] != shape[2:]:
            weight = self.weight.detach()
            reorder = _operators()._reorder_convolution_weight
            packed = self._packed = shape[2:], reorder(weight, *self._geometry, list(shape))
        return packed[1]


def _operators() -> Any:
    return torch.ops.mkldnn


def pack_convolutions(network: nn.Module) -> None:
    """Replace the convolutions on a CPU within a network that learns no more."""
    wanted = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled  # type: ignore[no-untyped-call]
    if not wanted or not hasattr(_operators(), "_reorder_convolution_weight"):
        return
    for parent in [*network.modules()]:
        for name, layer in [*parent.named_children()]:
            if isinstance(layer, nn.Conv2d) and _packs(layer.weight):
                setattr(parent, name, PackedConv2d(layer))


def _packs(weight: Tensor) -> bool:
    """Whether oneDNN has a layout for it: for bfloat16 only on CPUs with AVX-512 or newer."""
    if weight.device.type != "cpu":
        return False
    return weight.dtype != torch.bfloat16 or _operators()._is_mkldnn_bf16_supported()
