"""Weights in a quarter of their size: int8 with one float32 scale a row.

For generators, whose output is a picture: a rounded weight moves it by less than its own last bit.
Nothing that decides symbols is stored like this.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["pack", "unpack"]

#: Suffix of a packed tensor's scales.
SCALE = "#scale"
#: Smaller tensors (biases, gains, norms) keep their precision: they weigh nothing.
SMALLEST = 1024


def pack(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Round every matrix or convolution weight to int8, a row (output channel) at a time."""
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or tensor.numel() < SMALLEST or not tensor.is_floating_point():
            packed[name] = tensor.contiguous()
            continue
        rows = tensor.float().flatten(1)
        scale = rows.abs().amax(1).clamp(min=1e-12) / 127
        values = (rows / scale[:, None]).round().to(torch.int8)
        packed[name] = values.reshape(tensor.shape).contiguous()
        packed[name + SCALE] = scale
    return packed


def unpack(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The float32 tensors of :func:`pack`'s result."""
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith(SCALE):
            continue
        scale = tensors.get(name + SCALE)
        if scale is None:
            out[name] = tensor
        else:
            out[name] = tensor.float() * scale.reshape(-1, *[1] * (tensor.ndim - 1))
    return out
