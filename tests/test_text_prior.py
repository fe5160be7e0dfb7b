"""A prior of a caption's words: the same integers everywhere, streams by its tables, what it learns."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.entropy.coder import EntropyCoder
from shared.entropy.scale_branch import SCALE_LEVELS
from shared.entropy.tables import FREQUENCY_TOTAL, FrozenTables, gaussian_pmf, quantise_pmf
from shared.errors import CorruptStreamError
from shared.latents.hyperprior import HyperpriorSymbols
from shared.latents.text_prior import (
    BUCKETS,
    SHIFT,
    TILTS,
    TextPrior,
    buckets_of,
    moved_index,
    with_tilts,
)
from training.text_prior import SaidWords, fit_text_prior, targets_of
from training.text_vector import REACH, fit_text_vector

CHANNELS, LATENT = 3, 2
RNG = np.random.default_rng(0)


def prior() -> TextPrior:
    rows = RNG.integers(-120, 121, (BUCKETS, CHANNELS + LATENT)).astype(np.int8)
    return TextPrior(rows, np.array([3, -5, 0, 40, -40], np.int32), CHANNELS)


def test_words_are_ascii_runs_whatever_stands_between_them() -> None:
    assert np.array_equal(buckets_of("A Red door, a red DOOR!"), buckets_of("door red a"))
    assert len(buckets_of("a red door")) == 3
    assert len(buckets_of(" ,;. ")) == 0
    # Capital letters beyond ASCII stay: which letter is small differs between versions of Unicode.
    assert not np.array_equal(buckets_of("Ärger"), buckets_of("ärger"))


def test_sums_are_shifted_clamped_and_pinned() -> None:
    rows = np.zeros((BUCKETS, 2), np.int8)
    rows[buckets_of("red")], rows[buckets_of("door")] = [8, 127], [16, 127]
    one = TextPrior(rows, np.array([0, 1000], np.int32), 1)
    assert one.sums("red").tolist() == [1, TILTS]
    assert one.sums("a red door").tolist() == [(24 + 8) >> SHIFT, TILTS]
    assert one.sums("").tolist() == [0, 0]


def tables() -> FrozenTables:
    return FrozenTables.pack(
        [(low, quantise_pmf(pmf)) for low, pmf in (gaussian_pmf(20 + 5 * i) for i in range(3))]
    )


def test_every_tilt_is_a_table_and_none_is_the_table_itself() -> None:
    own, made = tables(), with_tilts(tables(), range(3))
    assert len(made) == 3 * (2 * TILTS + 1)
    for row in range(3):
        span = row * (2 * TILTS + 1) + np.arange(2 * TILTS + 1)
        assert all(int(made[i].sum(dtype=int)) == FREQUENCY_TOTAL for i in span)
        assert np.array_equal(made[span[TILTS]], own[row])
        means = [np.average(own.lows[row] + np.arange(len(made[i])), weights=made[i]) for i in span]
        assert (np.diff(means) > 0).all()


def test_a_stream_by_the_words_tables_comes_back_with_them_alone() -> None:
    """Both ends have the caption: nothing but its words is needed."""
    one, coder = prior(), EntropyCoder(with_tilts(tables(), range(CHANNELS)))
    symbols = RNG.integers(-2, 3, (CHANNELS, 40)).astype(np.int16)

    def named(caption: str) -> NDArray[np.int32]:
        tilts = one.sums(caption)[:CHANNELS]
        own = np.arange(CHANNELS) * (2 * TILTS + 1) + TILTS + tilts
        return np.repeat(own, 40).astype(np.int32)

    payload = coder.encode([(symbols.reshape(-1), named("A red door"))])
    decoder = coder.open(payload)
    assert np.array_equal(decoder.decode(named("a red, red door")).reshape(CHANNELS, 40), symbols)
    decoder.finish()
    other = coder.open(payload)
    try:
        wrong = other.decode(named("a dog in the snow")).reshape(CHANNELS, 40)
    except CorruptStreamError:
        return
    assert not np.array_equal(wrong, symbols)


def test_scale_indices_move_within_what_is_coded() -> None:
    index = np.array([0, 1, 30, SCALE_LEVELS - 1], np.uint8).reshape(1, 2, 2).repeat(2, 0)
    moved = moved_index(index, np.array([-4, 5], np.int32))
    assert moved[0].flatten().tolist() == [0, 1, 26, SCALE_LEVELS - 5]
    assert moved[1].flatten().tolist() == [0, 6, 35, SCALE_LEVELS - 1]


@pytest.fixture(scope="module")
def learnt() -> tuple[TextPrior, list[str]]:
    """A prior of made-up pictures: "red" raises channel 0 of z, "loud" doubles channel 1 of y."""
    captions, targets = [], []
    for _ in range(600):
        red, loud = RNG.random(2) < 0.5
        z = np.round(RNG.normal([1.0 * red, 0, 0], 1.0)).astype(np.int16).reshape(3, 1, 1)
        sigma = np.array([1.0, 2.0 if loud else 1.0])[:, None, None]
        y = np.round(RNG.normal(0, sigma, (2, 4, 4))).astype(np.int16)
        index = np.full((2, 4, 4), 22, np.uint8)
        captions.append(" ".join(["a", "red" if red else "blue", "loud" if loud else "calm"]))
        targets.append(targets_of(HyperpriorSymbols(z, index, y)))
    words = SaidWords([[text] for text in captions])
    return fit_text_prior(words, targets, np.array([1.25, 1.0, 1.0]), 10.0), captions


def test_the_fit_finds_what_words_say(learnt: tuple[TextPrior, list[str]]) -> None:
    one, _ = learnt
    red, blue = one.sums("a red calm"), one.sums("a blue calm")
    assert red[0] >= 4
    assert blue[0] <= -4
    assert abs(int(red[1])) <= 2
    assert one.sums("a red loud")[4] > one.sums("a red calm")[4] + 2
    assert abs(int(one.sums("a red loud")[3])) <= 2


def test_a_vector_says_the_same_in_few_bits(learnt: tuple[TextPrior, list[str]]) -> None:
    one, captions = learnt
    vector = fit_text_vector(one, captions, np.ones(5), 2)
    said = vector.of("a red loud")
    assert said.shape == (2,)
    assert said.dtype == np.int8
    assert np.abs(vector.sums(said) - one.sums("a red loud")).max() <= 3
    assert 0 < vector.bits(said) < 8
    assert vector.costs.shape == (2, 2 * REACH + 1)
