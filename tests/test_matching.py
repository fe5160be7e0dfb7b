"""Formats of the day beside a stream: the best that fits, and the least that is as good."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from shared.codecs.baselines.matching import Match, Trials, best_within, least_as_good
from shared.metrics import psnr
from shared.pictures import Picture

NAMES = ("baseline/jpeg", "baseline/webp", "baseline/avif")


@pytest.fixture(scope="module")
def picture() -> Picture:
    y, x = np.mgrid[:120, :180]
    slow = np.stack([np.sin(x / 19), np.sin(y / 15), np.sin((x + y) / 24)], axis=2)
    noise = np.random.default_rng(3).normal(0, 12, slow.shape)
    return (128 + 80 * slow + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_the_best_fits_and_a_larger_size_is_no_worse(name: str, picture: Picture) -> None:
    like = partial(psnr, picture)
    trials: Trials = {}
    likenesses = []
    for limit in (900, 2500, 6000):
        found = best_within(name, picture, limit, like, trials)
        assert found is not None
        assert found.bytes <= limit
        assert found.picture.shape == picture.shape
        assert found.likeness == pytest.approx(psnr(picture, found.picture))
        likenesses.append(found.likeness)
    assert likenesses == sorted(likenesses)


def test_a_small_size_is_met_with_a_shrunk_picture_and_none_with_nothing(picture: Picture) -> None:
    like = partial(psnr, picture)
    found = best_within("baseline/jpeg", picture, 900, like, {})
    assert found is not None
    assert found.trial.shrink > 1
    assert best_within("baseline/jpeg", picture, 20, like, {}) is None


@pytest.mark.parametrize("name", NAMES)
def test_the_least_that_is_as_good_is_as_good(name: str, picture: Picture) -> None:
    like = partial(psnr, picture)
    found: list[Match] = []
    for wanted in (20.0, 24.0):
        match = least_as_good(name, picture, wanted, like, {})
        assert match is not None
        assert match.likeness >= wanted
        found.append(match)
    assert found[0].bytes <= found[1].bytes


def test_what_cannot_be_had_is_none(picture: Picture) -> None:
    assert least_as_good("baseline/jpeg", picture, 99.0, partial(psnr, picture), {}) is None


def test_a_search_that_was_made_is_not_made_again(picture: Picture) -> None:
    calls = 0

    def like(other: Picture) -> float:
        nonlocal calls
        calls += 1
        return psnr(picture, other)

    trials: Trials = {}
    first = least_as_good("baseline/webp", picture, 22.0, like, trials)
    made = calls
    again = least_as_good("baseline/webp", picture, 22.0, like, trials)
    assert first is not None
    assert again is not None
    assert first.trial == again.trial
    assert calls == made > 1
