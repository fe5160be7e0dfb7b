"""The shipped model against WebP (method 6): real bytes, 0.1 to 0.6 bits per pixel."""

from __future__ import annotations

from pathlib import Path

from cluster.evaluation.run import evaluate
from cluster.feeds import KODAK_FEED

#: Levels of base and of WebP that the window lies between, with two of each within it.
LEVELS = (14, 16, 18, 0, 20, 50, 75)
PICTURES = 4


def test_base_is_ahead_of_webp(tmp_path: Path) -> None:
    """On half of the pictures that ship; docs/results.md has all of Kodak."""
    result = evaluate(
        KODAK_FEED,
        ["base", "baseline/webp"],
        LEVELS,
        tmp_path,
        ssimulacra2_every=0,
        matching=False,
        limit=PICTURES,
    )
    assert not result.failures
    percent = {row.metric: row.percent for row in result.bd_rates if row.codec == "base"}
    assert percent["psnr"] is not None
    assert percent["psnr"] < 0
    assert percent["ms_ssim"] is not None
    assert percent["ms_ssim"] < 0
