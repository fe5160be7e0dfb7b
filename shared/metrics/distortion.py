"""How far a decoded picture is from the true one, by measures that need no weights.

Pictures are (H, W, 3) uint8 in sRGB. Two pictures of different size have no distance: ValueError.
"""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from PIL import Image
from pytorch_msssim import ms_ssim as torch_ms_ssim
from ssimulacra2 import compute_ssimulacra2
from torch import Tensor

from shared.pictures import Picture

__all__ = ["luma", "ms_ssim", "ms_ssim_db", "psnr", "ssimulacra2"]

#: Four halvings must leave more than the 11-pixel window's reach.
MS_SSIM_SMALLEST_SIDE = 161
#: Of a picture whose error is summed at a time.
ROWS = 256
#: SSIMULACRA2 has no scale at all below this side.
SSIMULACRA2_SMALLEST_SIDE = 8


def _check_sizes(a: Picture, b: Picture) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures of different size: {a.shape} and {b.shape}")


def psnr(a: Picture, b: Picture) -> float:
    """Peak signal-to-noise ratio in dB, over all channels together; inf for equal pictures."""
    _check_sizes(a, b)
    # In whole numbers and some rows at a time: exact, and no memory of the picture's size.
    total = sum(
        int(np.square(a[rows].astype(np.int32) - b[rows]).sum(dtype=np.int64))
        for rows in (slice(row, row + ROWS) for row in range(0, len(a), ROWS))
    )
    return float(10 * np.log10(255**2 / (total / a.size))) if total else math.inf


def luma(picture: Picture) -> Picture:
    """Its brightness (BT.601) as the only channel, (H, W, 1): measured in a third of the time."""
    return np.asarray(Image.fromarray(picture).convert("L"))[..., None]


def _to_tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None]


def ms_ssim(a: Picture, b: Picture) -> float | None:
    """Multi-scale SSIM of five scales, 0..1, mean over the channels, of which there may be one.

    Returns:
        None where a side is under 161 pixels: the fifth scale does not fit.
    """
    _check_sizes(a, b)
    if min(a.shape[:2]) < MS_SSIM_SMALLEST_SIDE:
        return None
    with torch.inference_mode():
        return float(torch_ms_ssim(_to_tensor(a), _to_tensor(b), data_range=255))


def ms_ssim_db(value: float) -> float:
    """MS-SSIM on a scale that does not crowd at 1: ``-10 log10(1 - value)``, inf at 1."""
    return -10 * math.log10(1 - value) if value < 1 else math.inf


def _bitmap(picture: Picture) -> io.BytesIO:
    """An uncompressed file in memory, as the ``ssimulacra2`` package reads nothing but files."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "BMP")
    return file


def ssimulacra2(a: Picture, b: Picture) -> float | None:
    """SSIMULACRA2 of picture ``b`` against the original ``a``: 100 is equal, 90 looks equal.

    Returns:
        None where a side is under 8 pixels: not even one scale fits.
    """
    _check_sizes(a, b)
    if min(a.shape[:2]) < SSIMULACRA2_SMALLEST_SIDE:
        return None
    return float(compute_ssimulacra2(_bitmap(a), _bitmap(b)))
