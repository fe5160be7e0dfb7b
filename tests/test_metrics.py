"""Metrics against values worked out by hand, and BD-rate against curves with a known answer."""

from __future__ import annotations

import math

import bjontegaard
import numpy as np
import pytest

from shared.metrics import (
    Curve,
    bd_rate,
    ms_ssim,
    ms_ssim_db,
    psnr,
    ssimulacra2,
)
from shared.pictures import Picture

ANCHOR = Curve((0.05, 0.1, 0.2, 0.4, 0.8), (24.0, 26.5, 29.0, 31.5, 34.5))


def textured(height: int, width: int, noise: float = 0) -> Picture:
    """Crossed waves, with noise on top."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9), np.sin(y / 5), np.sin((x + y) / 14)], axis=2)
    grain = np.random.default_rng(0).normal(0, 1, waves.shape)
    pixels: Picture = np.clip(128 + 90 * waves + noise * grain, 0, 255).astype(np.uint8)
    return pixels


def scaled(curve: Curve, factor: float) -> Curve:
    return Curve(tuple(factor * rate for rate in curve.rates), curve.values)


# -- distortion ------------------------------------------------------------------------------------


def test_psnr_by_hand() -> None:
    black = np.zeros((2, 2, 3), np.uint8)
    other = black.copy()
    other[0, 0] = (6, 0, 0)  # squared error 36 over 12 values: 3
    assert psnr(black, other) == pytest.approx(10 * math.log10(255**2 / 3))
    assert psnr(black, other) == psnr(other, black)  # no wrap-around of uint8
    assert psnr(black, black + np.uint8(255)) == pytest.approx(0)
    assert psnr(black, black) == math.inf


def test_ms_ssim_falls_with_noise_from_one() -> None:
    picture = textured(176, 200)
    clean, noisy, noisier = (
        ms_ssim(picture, textured(176, 200, noise)) or 0 for noise in (0, 10, 40)
    )
    assert clean == pytest.approx(1)
    assert clean > noisy > noisier > 0


def test_ms_ssim_needs_161_pixels() -> None:
    assert ms_ssim(textured(160, 300), textured(160, 300)) is None
    assert ms_ssim(textured(161, 300), textured(161, 300)) == pytest.approx(1)


def test_ms_ssim_db() -> None:
    assert ms_ssim_db(0.9) == pytest.approx(10)
    assert ms_ssim_db(0.999) == pytest.approx(30)
    assert ms_ssim_db(1.0) == math.inf


def test_ssimulacra2_falls_with_noise_from_100() -> None:
    picture = textured(64, 80)
    clean, noisy, noisier = (
        ssimulacra2(picture, textured(64, 80, noise)) or 0 for noise in (0, 10, 40)
    )
    assert clean == pytest.approx(100)
    assert clean > noisy > noisier
    assert ssimulacra2(picture[:7], picture[:7]) is None


@pytest.mark.parametrize("metric", [psnr, ms_ssim, ssimulacra2])
def test_different_sizes_have_no_distance(metric: object) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match="different size"):
        metric(textured(20, 30), textured(30, 20))


# -- BD-rate ---------------------------------------------------------------------------------------


def test_curve_against_itself_is_zero() -> None:
    result = bd_rate(ANCHOR, ANCHOR)
    assert result is not None
    assert result.percent == pytest.approx(0)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_scaled_rates_give_the_scale(factor: float) -> None:
    result = bd_rate(ANCHOR, scaled(ANCHOR, factor))
    assert result is not None
    assert result.percent == pytest.approx(100 * (factor - 1))


def test_window_is_the_anchors_qualities_at_its_ends() -> None:
    result = bd_rate(ANCHOR, scaled(ANCHOR, 0.8), 0.1, 0.4)
    assert result is not None
    assert (result.low_value, result.high_value) == pytest.approx((26.5, 31.5))
    between = bd_rate(ANCHOR, scaled(ANCHOR, 0.8), 0.1, 0.6)
    assert between is not None
    assert 31.5 < between.high_value < 34.5


def test_what_happens_outside_the_window_does_not_count() -> None:
    """Equal in the window and next to it, four times the rate far above: still 0 %."""
    test = Curve((0.05, 0.1, 0.2, 0.4, 0.8, 6.4), (*ANCHOR.values, 37.0))
    anchor = Curve((0.05, 0.1, 0.2, 0.4, 0.8, 1.6), (*ANCHOR.values, 37.0))
    inside, whole = bd_rate(anchor, test, 0.1, 0.4), bd_rate(anchor, test, 0.01, 9)
    assert inside is not None
    assert whole is not None
    assert inside.percent == pytest.approx(0, abs=1e-6)
    assert whole.percent > 5


def test_wide_window_is_the_packages_own_figure() -> None:
    test = Curve((0.04, 0.11, 0.3, 0.7), (23.5, 27.0, 31.0, 34.0))
    expected = bjontegaard.bd_rate(
        ANCHOR.rates,
        ANCHOR.values,
        test.rates,
        test.values,
        "pchip",
        require_matching_points=False,
        min_overlap=0,
    )
    result = bd_rate(ANCHOR, test, 1e-6, 1e6)
    assert result is not None
    assert result.percent == pytest.approx(expected)
    assert (result.low_value, result.high_value) == (24.0, 34.0)


def test_no_bd_rate_without_common_quality_in_the_window() -> None:
    far_better = Curve(ANCHOR.rates, tuple(value + 20 for value in ANCHOR.values))
    assert bd_rate(ANCHOR, far_better) is None
    assert bd_rate(ANCHOR, ANCHOR, 1.0, 2.0) is None
    assert bd_rate(ANCHOR, ANCHOR, 0.001, 0.01) is None
    # These meet the anchor, but only where it spends more than the window's 0.6 bits.
    assert bd_rate(ANCHOR, Curve((0.2, 0.4), (34.0, 36.0))) is None


@pytest.mark.parametrize(
    "curve",
    [
        Curve((), ()),
        Curve((0.2,), (29.0,)),
        Curve((0.1, 0.2, 0.4), (26.0, 25.0, 30.0)),
        Curve((0.1, 0.2), (26.0, math.inf)),
    ],
    ids=["empty", "one point", "falling", "infinite"],
)
def test_no_bd_rate_of_what_is_no_curve(curve: Curve) -> None:
    assert bd_rate(ANCHOR, curve) is None
    assert bd_rate(curve, ANCHOR) is None


def test_curve_sorts_its_points_and_refuses_nonsense() -> None:
    assert Curve((0.4, 0.1), (30.0, 26.0)) == Curve((0.1, 0.4), (26.0, 30.0))
    with pytest.raises(ValueError, match="over 0"):
        Curve((0.0, 0.1), (20.0, 30.0))
    with pytest.raises(ValueError, match="argument"):
        Curve((0.1, 0.2), (20.0,))
    with pytest.raises(ValueError, match="window"):
        bd_rate(ANCHOR, ANCHOR, 0.6, 0.1)
