"""rANS with frozen tables: lossless for every symbol, near the entropy, and frozen to the byte."""

from __future__ import annotations

import hashlib

import constriction
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared.entropy.coder import BOTTOM_BITS, SYMBOL_LIMIT, EntropyCoder
from shared.entropy.scale_branch import SCALE_LEVELS
from shared.entropy.tables import (
    FREQUENCY_TOTAL,
    FrozenTables,
    gaussian_pmf,
    quantise_pmf,
    scale_of_index,
)
from shared.errors import CorruptStreamError

PMFS = [gaussian_pmf(index) for index in range(SCALE_LEVELS)]
TABLES = FrozenTables.pack([(low, quantise_pmf(pmf)) for low, pmf in PMFS])
CODER = EntropyCoder(TABLES)

segments = st.integers(0, 200).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int16, n, elements=st.integers(-SYMBOL_LIMIT, SYMBOL_LIMIT)),
        hnp.arrays(np.uint8, n, elements=st.integers(0, SCALE_LEVELS - 1)),
    )
)


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Symbols drawn from the very distributions that the tables describe."""
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, SCALE_LEVELS, count).astype(np.uint8)
    sigma = np.array([scale_of_index(i) for i in range(SCALE_LEVELS)])[indices]
    return np.rint(rng.normal(size=count) * sigma).astype(np.int16), indices


#: Words at the bottom of the stack.
bottoms = st.sampled_from([0, 1, 0xFF, 2**23, 2**24 - 1]) | st.integers(0, 2**24 - 1)


@given(st.lists(segments, max_size=4), bottoms)
def test_any_symbols_round_trip(parts: list[tuple[np.ndarray, np.ndarray]], bottom: int) -> None:
    payload = CODER.encode(parts, bottom)
    assert payload[-4:] != bytes(4)
    decoder = CODER.open(payload)
    for symbols, indices in parts:
        np.testing.assert_array_equal(decoder.decode(indices), symbols)
    assert decoder.finish() == bottom


@given(bottoms)
def test_without_symbols_the_bottom_is_the_payload(bottom: int) -> None:
    assert CODER.encode([], bottom) == (bottom.to_bytes(4, "little") if bottom else b"")


@given(st.binary(max_size=40), st.lists(st.integers(0, SCALE_LEVELS - 1), max_size=30))
def test_a_payload_that_decodes_is_the_only_one_of_what_it_holds(
    noise: bytes, tables: list[int]
) -> None:
    payload, indices = noise[: len(noise) // 4 * 4], np.array(tables, np.uint8)
    try:
        decoder = CODER.open(payload)
        symbols = decoder.decode(indices)
        bottom = decoder.finish()
    except CorruptStreamError:
        return
    assert CODER.encode([(symbols, indices)], bottom) == payload


def test_a_word_at_the_bottom_takes_the_place_of_what_the_first_symbol_wastes() -> None:
    """Bits beyond the symbols' own: 24 either way, on average."""
    rng = np.random.default_rng(6)
    symbols, indices = np.zeros(20, np.int16), np.full(20, 20, np.uint8)
    empty = int.from_bytes(CODER.encode([(symbols, indices)]), "little").bit_length()
    filled = [
        int.from_bytes(CODER.encode([(symbols, indices)], bottom), "little").bit_length()
        for bottom in rng.integers(2**24, size=200).tolist()
    ]
    assert np.mean(filled) < empty + 3


def test_rate_is_within_a_thousandth_of_the_tables_cross_entropy() -> None:
    symbols, indices = draw(200_000, 1)
    bits = 0.0
    for index in range(SCALE_LEVELS):
        offset = symbols[indices == index].astype(int) - TABLES.lows[index]
        table = TABLES[index]
        bits += np.log2(FREQUENCY_TOTAL / table[np.clip(offset, 0, len(table) - 1)]).sum()
        bits += 16 * ((offset <= 0) | (offset >= len(table) - 1)).sum()
    assert 8 * len(CODER.encode([(symbols, indices)])) == pytest.approx(bits, rel=1e-3)


def test_bytes_never_change() -> None:
    """A change here is a change of the bitstream: every stream ever written would be lost."""
    payload = CODER.encode([draw(5_000, 2), draw(3_000, 3)])
    digest = hashlib.sha256(payload).hexdigest()
    assert (len(payload), digest[:16]) == GOLDEN_PAYLOAD


@pytest.mark.parametrize("table", range(1, SCALE_LEVELS, 7))
def test_intervals_are_the_integers_that_the_protocol_states(table: int) -> None:
    """The coder's fixed-point tables follow from ours by whole-number arithmetic alone."""
    frequencies = TABLES[table].astype(np.int64)
    count = len(frequencies)
    before = np.concatenate([[0], np.cumsum(frequencies)])
    left = before * (2**24 - count) // FREQUENCY_TOTAL + np.arange(count + 1)
    left[-1] = 2**24
    low_word, high_word = 123456789, 1
    state = high_word << 32 | low_word
    for symbol in sorted({0, 1, count // 2, count - 2, count - 1}):
        coder = constriction.stream.stack.AnsCoder(np.array([low_word, high_word], np.uint32))
        coder.encode_reverse(np.array([symbol], np.int32), CODER.model(table))
        found = int.from_bytes(coder.get_compressed().astype("<u4").tobytes(), "little")
        width = int(left[symbol + 1] - left[symbol])
        assert found == (state // width << 24) + state % width + int(left[symbol])


def test_left_over_and_missing_bits_are_found_out() -> None:
    symbols, indices = draw(1_000, 4)
    payload = CODER.encode([(symbols, indices)])
    decoder = CODER.open(payload)
    decoder.decode(indices[:-10])
    with pytest.raises(CorruptStreamError, match="does not end"):
        decoder.finish()
    with pytest.raises(CorruptStreamError, match="does not end"):
        CODER.open((1 << BOTTOM_BITS).to_bytes(4, "little")).finish()
    with pytest.raises(CorruptStreamError, match="multiple of 4"):
        CODER.open(payload[:-1])
    with pytest.raises(CorruptStreamError, match="zero word"):
        CODER.open(payload[:-4] + bytes(4))


def test_a_symbol_that_no_encoder_writes_is_refused() -> None:
    """An escape can reach beyond int16; the decoder says so instead of wrapping around."""
    rng = np.random.default_rng(5)
    failures = 0
    for _ in range(200):
        payload = rng.bytes(400)
        try:
            decoded = CODER.open(payload).decode(np.full(200, 1, np.uint8))
        except CorruptStreamError:
            failures += 1
        else:
            assert np.abs(decoded.astype(int)).max() <= SYMBOL_LIMIT
    assert failures < 200


def test_tables_sum_up_and_reach_both_sides_of_zero() -> None:
    for index in range(len(TABLES)):
        table = TABLES[index]
        assert table.astype(int).sum() == FREQUENCY_TOTAL
        assert table.min() >= 1
        assert TABLES.lows[index] < 0 < TABLES.lows[index] + len(table) - 1
        assert table[0] + table[-1] <= 2  # escapes are dear, so they must be rare


def test_quantised_probabilities_stay_close() -> None:
    pmf = np.array([0.5, 0.25, 0.125, 0.0, 0.125])
    table = quantise_pmf(pmf)
    assert table.astype(int).sum() == FREQUENCY_TOTAL
    np.testing.assert_allclose(table / FREQUENCY_TOTAL, pmf, atol=1e-4)
    assert table[3] == 1
    with pytest.raises(ValueError, match="at least two"):
        quantise_pmf(np.array([1.0]))


def test_damaged_tables_are_refused() -> None:
    tensors = TABLES.to_tensors()
    tensors["frequencies"][5] += 1
    with pytest.raises(ValueError, match="damaged"):
        FrozenTables.from_tensors(tensors)


GOLDEN_PAYLOAD = (3576, "f6c64677da452404")
