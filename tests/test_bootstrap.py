"""The paired bootstrap: equal draws for every column, and intervals that behave like intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cluster.evaluation.bootstrap import Interval, interval, resampled_means

RESAMPLES = 400
columns = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 3)),
    elements=st.floats(-1e3, 1e3, width=32),
)


@given(columns)
def test_means_stay_between_the_extremes_and_are_repeatable(values: np.ndarray) -> None:
    means = resampled_means(values, RESAMPLES)
    assert means.shape == (RESAMPLES, values.shape[1])
    assert (means >= values.min(axis=0) - 1e-6).all()
    assert (means <= values.max(axis=0) + 1e-6).all()
    assert np.array_equal(means, resampled_means(values, RESAMPLES))


@given(columns, st.floats(-50, 50))
def test_draws_are_the_same_for_every_column(values: np.ndarray, shift: float) -> None:
    twice = np.concatenate([values, values + shift], axis=1)
    means = resampled_means(twice, RESAMPLES)
    first, second = np.split(means, 2, axis=1)
    assert np.allclose(second - first, shift, atol=1e-6)


@given(columns)
def test_interval_contains_the_middle_of_its_samples(values: np.ndarray) -> None:
    samples = resampled_means(values, RESAMPLES)[:, 0]
    found = interval(float(values[:, 0].mean()), samples)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= np.median(samples) <= found.high


def test_interval_narrows_with_the_root_of_the_count() -> None:
    rng = np.random.default_rng(1)

    def width(count: int) -> float:
        values = rng.normal(0, 1, (count, 1))
        found = interval(0.0, resampled_means(values)[:, 0])
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    # Of a mean of unit variance: 2 * 1.96 / sqrt(n).
    assert width(400) == pytest.approx(3.92 / 20, rel=0.15)
    assert width(25) == pytest.approx(3.92 / 5, rel=0.5)


def test_statistic_that_often_does_not_exist_has_no_interval() -> None:
    samples = np.ones(100)
    samples[:2] = math.nan
    assert interval(1.0, samples) == Interval(1.0, 1.0, 1.0)
    samples[:3] = math.nan
    assert interval(1.0, samples) == Interval(1.0, None, None)
    assert interval(math.nan, np.ones(100)).low is None


@pytest.mark.parametrize("values", [np.empty((0, 2)), np.array([[1.0], [math.nan]])])
def test_what_cannot_be_drawn_from_is_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least one picture and finite values"):
        resampled_means(values)


def test_only_intervals_off_zero_exclude_it() -> None:
    assert Interval(1, 0.5, 2).excludes_zero
    assert Interval(-1, -2, -0.5).excludes_zero
    assert not Interval(1, -0.5, 2).excludes_zero
    assert not Interval(1, None, None).excludes_zero
