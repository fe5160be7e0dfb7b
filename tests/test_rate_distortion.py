"""The shipped model against WebP (method 6): real bytes, every level, 0.1 to 0.6 bits per pixel."""

from __future__ import annotations

from pathlib import Path

from cluster.evaluation.run import evaluate
from cluster.feeds import KODAK_FEED

#: Levels of either that cover the rates; not all, as that takes long.
LEVELS = (0, 5, 20, 50, 75, 90, 10, 12, 14, 16, 18)


def test_base_is_ahead_of_webp(tmp_path: Path) -> None:
    """On the pictures that ship; docs/results.md has all of Kodak."""
    codecs = ["base", "baseline/webp"]
    result = evaluate(
        KODAK_FEED, codecs, LEVELS, tmp_path, ssimulacra2_every=0, matching=False, jobs=2
    )
    assert not result.failures
    percent = {row.metric: row.percent for row in result.bd_rates if row.codec == "base"}
    assert percent["psnr"] is not None
    assert percent["psnr"] < 0
    assert percent["ms_ssim"] is not None
    assert percent["ms_ssim"] < 0
