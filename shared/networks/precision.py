"""In which precision the float networks run. Symbols never depend on it; only the picture does."""

from __future__ import annotations

import enum
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

__all__ = [
    "CPU",
    "Precision",
    "coarse",
    "coarse_dtype",
    "default_device",
    "default_precision",
    "ready",
]

CPUINFO = Path("/proc/cpuinfo")
CPU = torch.device("cpu")


class Precision(enum.Enum):
    """Arithmetic of the convolutions."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    @property
    def dtype(self) -> torch.dtype:
        """The torch dtype."""
        return torch.float32 if self is Precision.FLOAT32 else torch.bfloat16


@cache
def default_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def default_precision() -> Precision:
    """bfloat16 where the machine multiplies it in hardware (CUDA, AVX512-BF16, AMX), else float32."""
    fast = coarse_dtype(default_device()) == torch.bfloat16
    return Precision.BFLOAT16 if fast else Precision.FLOAT32


def coarse_dtype(device: torch.device) -> torch.dtype:
    """What this device multiplies fastest, of bfloat16 and float32.

    A CPU without bfloat16 takes 10 to 40 times as long for it.
    """
    fast = device.type != "cpu" or _cpu_multiplies_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def coarse(device: torch.device, *, cache: bool = True) -> torch.autocast:
    """A context in which networks in float32 compute in :func:`coarse_dtype`, for training.

    Args:
        cache: whether a weight that is read twice in it is cast once.
    """
    wanted = coarse_dtype(device) == torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted, cache_enabled=cache)


@cache
def _cpu_multiplies_bfloat16() -> bool:
    try:
        flags = CPUINFO.read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


ModuleT = TypeVar("ModuleT", bound=nn.Module)


def ready(network: ModuleT, device: torch.device, dtype: torch.dtype) -> ModuleT:
    """Place a trained network for use and return it: no gradients, channels last, convolutions in ``dtype``.

    Gains and other parameters stay in float32, where a logarithm needs it.
    """
    network.requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.to(dtype)
    return network
