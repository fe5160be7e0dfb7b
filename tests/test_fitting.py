"""A size as the target: the best level that fits, found in few tries."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.codecs.fitting import Wanted, best_that_fits
from shared.codecs.interface import Encoded
from shared.errors import SizeError

tables = st.lists(st.integers(1, 100_000), min_size=1, max_size=44).map(sorted)
limits = st.integers(-1, 120_000)


class Sizes:
    """A codec of which only its streams' sizes are known, that counts what it is asked for."""

    def __init__(self, table: list[int], uncounted: int = 0) -> None:
        self.table, self.uncounted, self.tried = table, uncounted, list[int]()

    @property
    def levels(self) -> range:
        """Numbers that are no places in the table, as those of preview levels are not."""
        return range(len(self.table), 2 * len(self.table))

    def encode(self, level: int) -> Encoded:
        self.tried.append(level)
        size = self.table[level - len(self.table)]
        return Encoded(bytes(size + self.uncounted), 1, 1, self.uncounted)


@given(tables, limits, st.none() | st.integers(0, 50), st.sampled_from([0, 4]))
def test_the_highest_level_that_fits_is_found(
    table: list[int], limit: int, first: int | None, uncounted: int
) -> None:
    codec = Sizes(table, uncounted)
    fitting = [level for level, size in zip(codec.levels, table, strict=True) if size <= limit]
    if fitting:
        level, encoded = best_that_fits(codec.encode, codec.levels, limit, first)
        assert level == max(fitting)
        assert encoded.counted == table[level - len(table)]
    else:
        with pytest.raises(SizeError) as refused:
            best_that_fits(codec.encode, codec.levels, limit, first)
        assert (refused.value.limit, refused.value.least) == (limit, table[0])
    assert len(set(codec.tried)) == len(codec.tried)


@given(st.integers(20, 100), limits)
def test_a_ladder_as_even_as_ours_takes_few_tries(least: int, limit: int) -> None:
    codec = Sizes([round(least * 1.35**level) for level in range(22)])
    with suppress(SizeError):
        best_that_fits(codec.encode, codec.levels, limit)
    assert len(codec.tried) <= 5


def test_a_refusal_names_the_least_in_one_line() -> None:
    codec = Sizes([40, 50])
    with pytest.raises(SizeError, match=r"^no level fits into 39 bytes; the smallest takes 40$"):
        best_that_fits(codec.encode, codec.levels, 39)


PICTURE = np.zeros((48, 100, 3), np.uint8)


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        (Wanted(), None),
        (Wanted(quality=3), None),
        (Wanted(size=500), 500),
        (Wanted(bits_per_pixel=0.25), 150),
        (Wanted(bits_per_pixel=0.251), 150),
    ],
)
def test_bits_a_pixel_are_whole_bytes_of_the_picture(wanted: Wanted, size: int | None) -> None:
    assert wanted.size_for(PICTURE) == size


@given(st.integers(1, 100_000), st.integers(1, 8192), st.integers(1, 8192))
@example(29, 8, 7)
def test_the_bits_a_pixel_of_a_stream_ask_for_its_bytes(size: int, height: int, width: int) -> None:
    """What one command prints, the next one takes: nothing is lost between them."""
    picture = np.broadcast_to(np.uint8(0), (height, width, 3))
    printed = Encoded(bytes(size), width, height).bits_per_pixel
    assert Wanted(bits_per_pixel=printed).size_for(picture) == size
