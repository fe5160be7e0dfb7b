"""Metrics: distortion of a decoded picture, and differences between rate-distortion curves."""

from shared.metrics.bd_rate import BdRate, Curve, bd_rate
from shared.metrics.distortion import ms_ssim, ms_ssim_db, psnr, ssimulacra2
from shared.metrics.optional import MetricStatus, optional_metrics

__all__ = [
    "BdRate",
    "Curve",
    "MetricStatus",
    "bd_rate",
    "ms_ssim",
    "ms_ssim_db",
    "optional_metrics",
    "psnr",
    "ssimulacra2",
]
