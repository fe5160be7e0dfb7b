"""The integer network that chooses a probability table for every element of y.

Two machines must pick the same table for every symbol or the stream turns to noise, and floating
point cannot promise that. So this branch knows integers only: int8 weights, uint8 activations,
exact accumulation, and a requantisation by a stored multiplier and shift. Its last layer emits the
scale *index* itself; no exponential, no logarithm and no comparison of floats is involved::

    z_hat (int) -> conv3x3 -> shuffle 2 -> conv3x3 -> shuffle 2 -> conv1x1 -> index in 0..63
       1/64            + ReLU   1/32          + ReLU   1/16

Products are summed in float64 as one matrix product: every partial sum is an integer below 2**53,
hence exact in any order, with or without FMA, on any BLAS or GPU (see :data:`EXACT_LIMIT`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["EXACT_LIMIT", "SCALE_LEVELS", "IntegerConv", "IntegerScaleBranch"]

#: Scale indices run over 0..63; index 0 says "this symbol is zero" and costs no bits.
SCALE_LEVELS = 64
#: z symbols are clamped to this magnitude before the branch reads them.
Z_LIMIT = 127
#: Largest activation.
ACTIVATION_LIMIT = 255
#: Integers up to here are exact in float64, whatever the order of a sum.
EXACT_LIMIT = 2**53
#: Rows of a layer's input that are unfolded at a time; bounds memory on large pictures.
STRIP_ROWS = 32


class IntegerConv:
    """A stride-1 convolution on integers, followed by ``(acc * m + 2**(s-1)) >> s`` and a clamp.

    Args:
        weight: int8, ``(out, in, k, k)`` with odd k; padded by ``k // 2`` zeros.
        bias: int32, ``(levels, out)`` or ``(1, out)``: one row a quality level, or one for all.
        multiplier, shift: int32, ``(out,)``; ``1 <= shift <= 40``, ``0 < multiplier < 2**16``.
        limit: outputs are clamped to ``0..limit`` (this is the ReLU too).

    Raises:
        ValueError: if the largest possible sum is not exactly representable.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, multiplier: Tensor, shift: Tensor, limit: int
    ) -> None:
        reach = ACTIVATION_LIMIT * weight.to(torch.int64).abs().flatten(1).sum(1)
        largest = int((reach + bias.to(torch.int64).abs().amax(0)).max())
        if largest * int(multiplier.max()) >= EXACT_LIMIT:
            raise ValueError(f"scale branch: sums up to {largest} are not exact in float64")
        self.kernel = int(weight.shape[-1])
        self.limit = limit
        self.matrix = weight.flatten(1).to(torch.float64)
        self.bias = bias.to(torch.int64)
        self.multiplier = multiplier.to(torch.int64)[:, None]
        self.shift = shift.to(torch.int64)[:, None]
        self.rounding = torch.ones_like(self.shift) << (self.shift - 1)

    def to(self, device: torch.device) -> None:
        """Move the layer's tensors to ``device``."""
        for name in ("matrix", "bias", "multiplier", "shift", "rounding"):
            setattr(self, name, getattr(self, name).to(device))

    def __call__(self, x: Tensor, quality: Tensor) -> Tensor:
        """``x``: (B, in, H, W) float64 holding integers, at levels (B,). Returns (B, out, H, W), likewise."""
        count, _, rows, width = x.shape
        pad = self.kernel // 2
        padded = F.pad(x, (pad, pad, pad, pad))
        bias = (self.bias[quality] if len(self.bias) > 1 else self.bias)[:, :, None]
        out = x.new_empty((count, self.matrix.shape[0], rows, width))
        for top in range(0, rows, STRIP_ROWS):
            height = min(STRIP_ROWS, rows - top)
            strip = padded[:, :, top : top + height + 2 * pad]
            columns = F.unfold(strip, self.kernel) if pad else strip.flatten(2)
            total = (self.matrix @ columns).to(torch.int64) + bias
            scaled = (total * self.multiplier + self.rounding) >> self.shift
            out[:, :, top : top + height] = (
                scaled.clamp_(0, self.limit).to(x.dtype).view(count, -1, height, width)
            )
        return out


class IntegerScaleBranch:
    """z symbols in, scale indices out. Build it with :meth:`from_tensors`."""

    def __init__(self, layers: tuple[IntegerConv, IntegerConv, IntegerConv]) -> None:
        self.layers = layers

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> IntegerScaleBranch:
        """Read ``{0,1,2}.{weight,bias,multiplier,shift}`` as a bundle stores them."""
        limits = (ACTIVATION_LIMIT, ACTIVATION_LIMIT, SCALE_LEVELS - 1)
        first, second, last = (
            IntegerConv(
                tensors[f"{i}.weight"],
                tensors[f"{i}.bias"],
                tensors[f"{i}.multiplier"],
                tensors[f"{i}.shift"],
                limit,
            )
            for i, limit in enumerate(limits)
        )
        return cls((first, second, last))

    def to(self, device: torch.device) -> IntegerScaleBranch:
        """Move to ``device`` and return self."""
        for layer in self.layers:
            layer.to(device)
        return self

    @torch.no_grad()
    def __call__(self, z: Tensor, quality: Tensor) -> Tensor:
        """Scale indices of pictures; no gradient passes.

        Args:
            z: (B, N, h, w) symbols of z, any integer or float dtype holding integers.
            quality: (B,) int64 levels, on the branch's device.

        Returns:
            (B, M, 4h, 4w) uint8 indices in 0..63.
        """
        first, second, last = self.layers
        x = z.to(torch.float64).clamp(-Z_LIMIT, Z_LIMIT)
        x = F.pixel_shuffle(first(x, quality), 2)
        x = F.pixel_shuffle(second(x, quality), 2)
        return last(x, quality).to(torch.uint8)
