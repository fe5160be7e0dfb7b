"""Small tables for tellings, counted from a few captions, and tellings to code with them."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared.telling.coder import TellingCoder
from shared.telling.telling import DESCRIPTION, DETAIL, NAME, Item, Telling, clipped_text
from training.phrases import count

CAPTIONS = [
    f"{subject} {verb} {place} ."
    for subject in ("A brown dog", "The dog", "Two children", "A man in a red shirt", "The woman", "A bird")
    for verb in ("runs through", "plays in", "stands on", "is looking at")
    for place in ("the green grass", "the water", "a snowy field", "a street", "the sand")
]


@cache
def small_coder() -> TellingCoder:
    """A coder that knows :data:`CAPTIONS`."""
    return TellingCoder.from_tensors(count(CAPTIONS))


def blob(rows: int, columns: int, top: int, left: int, side: int) -> np.ndarray:
    """A map with a square in it."""
    found = np.zeros((rows, columns), np.bool_)
    found[top : top + side, left : left + side] = True
    return found


DOG = Telling(
    "A brown dog runs through the Zürich grass, barking.",
    (
        Item("dog", "brown dog", blob(11, 16, 3, 2, 5)),
        Item("Zürich grass", "green Zürich grass", blob(11, 16, 8, 0, 16)),
        Item("sky"),
    ),
)

_texts = st.text(max_size=60) | st.lists(
    st.sampled_from("A brown dog runs Runs DOG zebra , . ! 's (x) naïve 犬 4-5 % 🦜".split()),
    max_size=12,
).map(" ".join)


@st.composite
def _items(draw: st.DrawFn, shape: tuple[int, int]) -> Item:
    place = draw(st.none() | hnp.arrays(np.bool_, shape))
    name = clipped_text(draw(_texts), NAME) or "thing"
    return Item(name, clipped_text(draw(_texts), DETAIL), place)


@st.composite
def tellings(draw: st.DrawFn) -> Telling:
    """Any telling: odd texts, any maps."""
    sides = st.integers(8, 16)
    shape = draw(st.tuples(sides, sides))
    items = draw(st.lists(_items(shape), max_size=3))
    return Telling(clipped_text(draw(_texts), DESCRIPTION), tuple(items))


#: Whole words of four bytes, the last of them not zero; or none.
payloads = st.lists(st.binary(min_size=4, max_size=4), max_size=6).map(
    lambda words: b"".join(words).rstrip(b"\0") and b"".join(words)[:-1] + b"\x01"
)
