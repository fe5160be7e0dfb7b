"""Delay, loss and disorder of captions: the same for ever from one seed, and within stated bounds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.schedule import Disturbance, schedule

ANY = st.builds(
    Disturbance,
    delay=st.sampled_from([0.0, 1.5]),
    jitter=st.sampled_from([0.0, 0.3, 10.0]),
    drop=st.sampled_from([0.0, 0.2, 0.9, 1.0]),
    shuffle=st.integers(0, 40),
    rate=st.sampled_from([None, 0.5, 100.0]),
    seed=st.integers(0, 1 << 32),
)


def order(items: int, disturbance: Disturbance) -> list[int]:
    return [item for _, item in schedule(range(items), disturbance)]


def test_undisturbed_captions_leave_at_once_in_order() -> None:
    assert list(schedule("abc", Disturbance())) == [(0.0, "a"), (0.0, "b"), (0.0, "c")]


@given(ANY, st.integers(0, 200))
def test_the_same_seed_gives_the_same_schedule(disturbance: Disturbance, items: int) -> None:
    assert list(schedule(range(items), disturbance)) == list(schedule(range(items), disturbance))


def test_another_seed_gives_another_schedule() -> None:
    orders = {tuple(order(100, Disturbance(shuffle=10, seed=seed))) for seed in range(20)}
    assert len(orders) == 20


@given(ANY, st.integers(0, 200))
def test_each_caption_leaves_at_most_once_and_time_never_runs_back(
    disturbance: Disturbance, items: int
) -> None:
    sent = list(schedule(range(items), disturbance))
    times = [due for due, _ in sent]
    assert times == sorted(times)
    assert all(due >= disturbance.delay for due in times)
    numbers = [item for _, item in sent]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) <= set(range(items))
    if disturbance.drop == 0.0:
        assert len(numbers) == items


@pytest.mark.parametrize("drop", [0.0, 0.1, 0.5, 0.97, 1.0])
def test_the_stated_share_is_dropped(drop: float) -> None:
    sent = order(20_000, Disturbance(drop=drop, seed=3))
    assert len(sent) == pytest.approx(20_000 * (1 - drop), abs=200)
    assert sent == sorted(sent)


@given(st.integers(0, 30), st.integers(0, 300), st.integers(0, 1000))
def test_shuffling_moves_nothing_forward_by_more_than_its_window(
    window: int, items: int, seed: int
) -> None:
    """Nothing is more than ``window`` places early. How late is a matter of chance: each stays put with
    ``window / (window + 1)`` at every step, so ten windows late is about one in twenty thousand."""
    sent = order(items, Disturbance(shuffle=window, seed=seed))
    assert sorted(sent) == list(range(items))
    assert all(item - place <= window for place, item in enumerate(sent))


def test_the_window_is_used_to_its_end() -> None:
    sent = order(5000, Disturbance(shuffle=8, seed=1))
    assert max(item - place for place, item in enumerate(sent)) == 8
    assert max(place - item for place, item in enumerate(sent)) > 8


def test_delay_and_rate_set_the_times() -> None:
    sent = list(schedule("abcd", Disturbance(delay=2.0, rate=4.0)))
    assert sent == [(2.0, "a"), (2.25, "b"), (2.5, "c"), (2.75, "d")]


def test_dropped_captions_leave_their_time_free() -> None:
    sent = list(schedule(range(100), Disturbance(drop=0.5, rate=10.0, seed=5)))
    assert [due for due, _ in sent] == [item / 10.0 for _, item in sent]


def test_jitter_adds_up_to_its_bound_and_keeps_the_order() -> None:
    disturbance = Disturbance(delay=1.0, jitter=5.0, rate=10.0, seed=2)
    sent = list(schedule(range(1000), disturbance))
    assert [item for _, item in sent] == list(range(1000))
    extra = [due - 1.0 - item / 10.0 for due, item in sent]
    assert -1e-9 <= min(extra) < 4.0
    assert 4.0 < max(extra) <= 5.0 + 1e-9


@pytest.mark.parametrize("window", [0, 1, 64])
def test_input_is_read_only_as_far_as_the_window_needs(window: int) -> None:
    read: list[int] = []

    def source() -> Iterator[int]:
        for number in count():
            read.append(number)
            yield number

    times = schedule(source(), Disturbance(shuffle=window, jitter=1.0, rate=10.0))
    assert read == []
    assert len(list(islice(times, 50))) == 50
    assert len(read) == 50 + window


def test_items_may_have_times_of_their_own() -> None:
    """What is dropped takes its time with it, and delay comes on top; the rate is not looked at."""
    times = {"a": 0.5, "b": 0.7, "c": 3.0}
    sent = list(schedule("abc", Disturbance(delay=1.0, rate=9.0), times.__getitem__))
    assert sent == [(1.5, "a"), (1.7, "b"), (4.0, "c")]
    some = list(schedule(range(40), Disturbance(drop=0.5, seed=1), float))
    assert 0 < len(some) < 40
    assert all(due == item for due, item in some)
