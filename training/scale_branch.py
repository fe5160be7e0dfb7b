"""The trainable twin of :class:`shared.entropy.scale_branch.IntegerScaleBranch`.

It trains in float first; after :meth:`ScaleBranch.begin_quantised` its forward pass rounds weights
and activations to the integer grid (straight-through gradients), so that what it learns is what the
exported integers compute. :meth:`ScaleBranch.export` writes those integers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.entropy.scale_branch import ACTIVATION_LIMIT, Z_LIMIT
from shared.latents.hyperprior import HyperpriorSize
from shared.latents.rounding import round_ste

__all__ = ["ScaleBranch"]

WEIGHT_LIMIT = 127
#: Multipliers are normalised into 2**14 .. 2**15.
MULTIPLIER_BITS = 15
#: The untrained branch says "a medium scale" everywhere.
INITIAL_INDEX = 25.0


class _Layer(nn.Module):
    """One convolution with a bias row a level; its output grid has step ``exp(log_step)``."""

    def __init__(self, inputs: int, outputs: int, kernel: int, levels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bias = nn.Parameter(torch.zeros(levels, outputs))

    def weight_step(self) -> Tensor:
        """Grid step of each filter, (outputs,)."""
        peak = self.conv.weight.detach().abs().flatten(1).amax(1)
        return (peak / WEIGHT_LIMIT).clamp_min(1e-8)

    def weight(self, quantised: bool) -> Tensor:
        """The weights, on their grid if ``quantised``."""
        if not quantised:
            return self.conv.weight
        step = self.weight_step()[:, None, None, None]
        return round_ste(self.conv.weight / step) * step

    def forward(self, x: Tensor, quality: Tensor, input_step: Tensor | None) -> Tensor:
        out = F.conv2d(x, self.weight(input_step is not None), padding=self.conv.padding)
        bias: Tensor = self.bias
        if input_step is not None:
            grid = self.weight_step() * input_step
            bias = round_ste(bias / grid) * grid
        row = quality if len(bias) > 1 else torch.zeros_like(quality)
        return out + bias[row][:, :, None, None]


class ScaleBranch(nn.Module):
    """Float or fake-quantised scale branch: z (B, N, h, w) -> index (B, M, 4h, 4w), continuous."""

    peaks: Tensor

    def __init__(self, size: HyperpriorSize) -> None:
        super().__init__()
        first, second = size.scale_hidden
        last = _Layer(second, size.latent, 1, size.levels)
        with torch.no_grad():
            last.bias.fill_(INITIAL_INDEX)
        self.layers = nn.ModuleList(
            [
                _Layer(size.hyper_latent, 4 * first, 3, size.levels),
                _Layer(first, 4 * second, 3, 1),
                last,
            ]
        )
        # Largest activations seen in float; then the activations' grids, which learn their steps.
        self.register_buffer("peaks", torch.zeros(2))
        self.log_steps = nn.Parameter(torch.zeros(2), requires_grad=False)
        self.quantised = False

    def get_extra_state(self) -> Tensor:
        """What belongs to a checkpoint beside weights; no buffer, which a GPU would have to be asked for."""
        return torch.tensor(self.quantised)

    def set_extra_state(self, state: Tensor) -> None:
        """The inverse of :meth:`get_extra_state`."""
        self.quantised = bool(state)

    @torch.no_grad()
    def start_from(self, index: Tensor) -> None:
        """Begin with these indices everywhere, (levels, M)."""
        last = self.layers[-1]
        assert isinstance(last, _Layer)
        last.bias.copy_(index)

    def begin_quantised(self) -> None:
        """Switch the forward pass to the integer grid, from the peaks seen so far."""
        with torch.no_grad():
            self.log_steps.copy_(torch.log(self.peaks.clamp(min=1.0) / ACTIVATION_LIMIT))
        self.quantised = True

    def _steps(self) -> list[Tensor]:
        """Grid steps of the three layers' inputs: z is on the integers already."""
        return [torch.ones_like(self.log_steps[0]), *self.log_steps.exp()]

    def _activation(self, x: Tensor, index: int, quantised: bool) -> Tensor:
        x = F.relu(F.pixel_shuffle(x, 2))
        if quantised:
            # Esser et al., "Learned Step Size Quantization" (ICLR 2020): the gradient reaches the step.
            step = self.log_steps[index].exp()
            return round_ste((x / step).clamp(max=ACTIVATION_LIMIT)) * step
        if self.training:
            peak = x.detach().amax().to(self.peaks.dtype)
            self.peaks[index] = torch.maximum(peak, 0.999 * self.peaks[index])
        return x

    def forward(self, z: Tensor, quality: Tensor) -> Tensor:
        """Continuous scale index, not clamped (the caller clamps, so that gradients can return)."""
        quantised = self.quantised
        steps: list[Tensor] | list[None] = self._steps() if quantised else [None, None, None]
        x = z.clamp(-Z_LIMIT, Z_LIMIT)
        x = self._activation(self.layers[0](x, quality, steps[0]), 0, quantised)
        x = self._activation(self.layers[1](x, quality, steps[1]), 1, quantised)
        out: Tensor = self.layers[2](x, quality, steps[2])
        return round_ste(out) if quantised else out

    @torch.no_grad()
    def export(self) -> dict[str, Tensor]:
        """Integers in the form that ``IntegerScaleBranch.from_tensors`` reads."""
        inputs = [float(step) for step in self._steps()]
        outputs = [inputs[1], inputs[2], 1.0]
        tensors: dict[str, Tensor] = {}
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, _Layer)
            step = layer.weight_step().double()
            grid = step * inputs[i]
            ratio = grid / outputs[i]
            shift = MULTIPLIER_BITS - 1 - torch.floor(torch.log2(ratio))
            shift = shift.clamp(1, 40)
            multiplier = torch.round(ratio * torch.exp2(shift)).clamp(1, 2**16 - 1)
            weight = torch.round(layer.conv.weight.double() / step[:, None, None, None])
            tensors[f"{i}.weight"] = weight.clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT).to(torch.int8)
            tensors[f"{i}.bias"] = torch.round(layer.bias.double() / grid).to(torch.int32)
            tensors[f"{i}.multiplier"] = multiplier.to(torch.int32)
            tensors[f"{i}.shift"] = shift.to(torch.int32)
        return tensors
