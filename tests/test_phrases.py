"""Tellings on a payload: lossless, short, frozen to the byte, and safe to read from anywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import CorruptStreamError
from shared.telling.channel import TOTAL, Reader, Writer, shares
from shared.telling.coder import TellingCoder
from shared.telling.context_model import ContextModel, as_byte, of_bytes
from shared.telling.telling import Item, Telling
from tests.told import CAPTIONS, DOG, blob, payloads, small_coder, tellings
from training.context_counts import count_contexts
from training.phrases import count

#: Of DOG on four bytes, by the tables of CAPTIONS.
GOLDEN = ""


@settings(max_examples=60, deadline=None)
@given(tellings(), payloads)
def test_any_telling_comes_back_from_any_payload(telling: Telling, payload: bytes) -> None:
    told = small_coder().push(payload, telling)
    assert len(told) % 4 == 0
    assert not told or told[-4:] != bytes(4)
    assert small_coder().pull(told) == (telling, payload)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80))
def test_what_can_be_read_is_what_a_writer_writes(noise: bytes) -> None:
    payload = noise[: len(noise) // 4 * 4]
    try:
        telling, below = small_coder().pull(payload)
    except CorruptStreamError:
        return
    assert small_coder().push(below, telling) == payload


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 8 * 40 - 1))
def test_a_flipped_bit_gives_another_telling_or_an_error(bit: int) -> None:
    told = bytearray(small_coder().push(bytes(range(1, 9)), DOG))
    told[bit // 8 % len(told)] ^= 1 << bit % 8
    try:
        found = small_coder().pull(bytes(told))
    except CorruptStreamError:
        return
    assert found != (DOG, bytes(range(1, 9)))
    assert small_coder().push(found[1], found[0]) == bytes(told)


def test_bytes_never_change() -> None:
    """A change here is a change of the bitstream, or of what is counted: streams would be lost."""
    assert small_coder().push(b"\x01\x02\x03\x04", DOG).hex() == GOLDEN


def test_tables_are_the_same_for_the_same_captions_and_only_integers() -> None:
    tables, again = count(CAPTIONS), count(CAPTIONS)
    assert tables.keys() == again.keys()
    assert all(torch.equal(tables[name], again[name]) for name in tables)
    assert {tensor.dtype for tensor in tables.values()} <= {torch.uint8, torch.uint16}
    with pytest.raises(ValueError, match="no word"):
        count(["", " "])


def test_bits_are_what_a_payload_grows_by() -> None:
    bits = small_coder().bits(DOG)
    assert bits.total == bits.description + bits.names + bits.details + bits.maps
    base = bytes(range(1, 41))
    grown = 8 * (len(small_coder().push(base, DOG)) - len(base))
    assert bits.total - 32 <= grown <= bits.total + 33


def test_what_was_said_costs_little_to_say_again() -> None:
    said = "The quick zebra leaps."
    alone = small_coder().bits(Telling("", (Item("quick zebra"),))).names
    again = small_coder().bits(Telling(said, (Item("quick zebra"),))).names
    assert again < alone / 3
    usual, unusual = "A brown dog runs through the water.", "Quixotic vexing jackdaws zip by."
    assert small_coder().bits(Telling(usual)).total < 2 * len(usual)
    assert small_coder().bits(Telling(unusual)).total < 10 * len(unusual)


def test_smooth_maps_take_a_fraction_of_their_places() -> None:
    def cost(*maps: np.ndarray) -> float:
        items = tuple(Item("thing", "", one) for one in maps)
        return small_coder().bits(Telling("", items)).maps

    noise = np.random.default_rng(1).random((16, 16)) < 0.5
    assert cost(blob(16, 16, 4, 4, 8)) < 64
    assert cost(np.zeros((16, 16), np.bool_)) < 24
    assert 230 < cost(noise) < 340


def test_tellings_have_their_own_symbols() -> None:
    others = [
        Telling(DOG.description, DOG.items[:2]),
        Telling(DOG.description + "x", DOG.items),
        Telling("dog", (Item("a", "bc"),)),
        Telling("dog", (Item("ab", "c"),)),
        Telling("dog", (Item("ab", "c", blob(8, 8, 0, 0, 1)),)),
        Telling("dog", (Item("ab", "c", blob(8, 8, 0, 0, 2)),)),
        DOG,
    ]
    found = [tuple(small_coder().symbols(one)) for one in others]
    assert all(part.dtype == np.int16 for parts in found for part in parts)
    assert len({b"|".join(part.tobytes() for part in parts) for parts in found}) == len(others)


def test_payloads_that_are_none_are_refused() -> None:
    with pytest.raises(CorruptStreamError, match="multiple of 4"):
        small_coder().pull(b"abc")
    with pytest.raises(CorruptStreamError, match="zero word"):
        small_coder().pull(bytes(8))


def test_tables_that_do_not_fit_each_other_are_refused() -> None:
    tables = count(CAPTIONS)
    with pytest.raises(ValueError, match="vocabulary"):
        TellingCoder.from_tensors(tables | {"words": torch.tensor(list(b"a\nb"), dtype=torch.uint8)})
    with pytest.raises(ValueError, match="damaged"):
        TellingCoder.from_tensors(tables | {"phrase-rests-1": tables["phrase-rests-1"][:-1]})


def test_a_context_model_is_exact_and_knows_what_it_saw() -> None:
    texts = [[4, 0, 1, 2], [4, 0, 1, 3], [4, 0, 1, 2]]
    events = [(tuple(text[:i]), text[i]) for text in texts for i in range(1, len(text))]
    model = ContextModel(count_contexts(events, [1.0] * 4, 5, (1, 1)))
    assert model.reach == 2
    for context in ([4], [4, 0], [0, 1], [4, 0, 1], [3, 3], []):
        found = model.behind(context)
        assert found.dtype == np.int64
        assert found.sum() == TOTAL
        assert found.min() > 0
    assert model.behind([0, 1]).argmax() == 2
    assert model.behind([0, 1])[3] > model.behind([0, 1])[0]


@given(st.floats(8, 2**27))
def test_a_byte_stands_for_a_number_near_to_it(value: float) -> None:
    found = float(of_bytes(np.array([as_byte(value)], np.uint8))[0])
    assert abs(found - value) <= value / 15


def test_channels_hand_over_what_they_were_given() -> None:
    frequencies = shares(np.array([1, 2, 3, 1_000_000]))
    assert frequencies.sum() == TOTAL
    writer = Writer()
    symbols = [3, 0, 3, 2, 1, 3]
    for symbol in symbols:
        writer.code(frequencies, symbol)
    reader = Reader(writer.onto(b"\x09\0\0\0"))
    assert [reader.code(frequencies) for _ in symbols] == symbols
    assert reader.rest() == b"\x09\0\0\0"
