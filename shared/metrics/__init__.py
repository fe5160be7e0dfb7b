"""Metrics: distortion of a decoded picture, and differences between rate-distortion curves."""

from shared.metrics.bd_rate import BdRate, Curve, bd_rate
from shared.metrics.distortion import luma, ms_ssim, ms_ssim_db, psnr, ssimulacra2

__all__ = [
    "BdRate",
    "Curve",
    "bd_rate",
    "luma",
    "ms_ssim",
    "ms_ssim_db",
    "psnr",
    "ssimulacra2",
]
