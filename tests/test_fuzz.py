"""Hostile streams: each is a typed error or the verified picture, within stated work and memory."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.bitstream.container import Container, Header
from shared.errors import CorruptStreamError, ModelMismatchError, SidewireError
from shared.systems.catalogue import system
from tests.codecs import Whole
from tests.conftest import GOLDEN
from tests.golden.make import CASES

BLOBS = {case: (GOLDEN / f"{case}.swi").read_bytes() for case in ("strip", "pixel", "lighthouse")}
EXAMPLES = 20_000
outcomes: Counter[str] = Counter()

positions = st.integers(0, 2**16)
mutations = st.one_of(
    st.tuples(st.just("flip"), positions, st.integers(0, 7)),
    st.tuples(st.just("set"), positions, st.integers(0, 255)),
    st.tuples(st.just("cut"), positions, st.just(0)),
    st.tuples(st.just("drop"), positions, st.integers(1, 8)),
    st.tuples(st.just("insert"), positions, st.integers(0, 255)),
    st.tuples(st.just("copy"), positions, st.integers(1, 8)),
)


def mutate(blob: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    data = bytearray(blob)
    for kind, where, value in changes:
        at = where % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << value
        elif kind == "set" and at < len(data):
            data[at] = value
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + value]
        elif kind == "insert":
            data.insert(at, value)
        elif kind == "copy":
            data[at:at] = data[at : at + value]
    return bytes(data)


@settings(
    max_examples=EXAMPLES,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(sorted(BLOBS)), st.lists(mutations, min_size=1, max_size=4))
def run_mutations(codec: Whole, case: str, changes: list[tuple[str, int, int]]) -> None:
    blob = mutate(BLOBS[case], changes)
    try:
        decoded = codec.decode(blob)
    except SidewireError as error:
        outcomes[type(error).__name__] += 1
        assert str(error)
        assert "\n" not in str(error)
        return
    outcomes["picture"] += 1
    intact = codec.decode(BLOBS[case])
    np.testing.assert_array_equal(decoded.picture, intact.picture)
    assert decoded.symbols_crc32c == intact.symbols_crc32c


def test_twenty_thousand_mutated_streams(golden_codec: Whole) -> None:
    run_mutations(golden_codec)
    assert outcomes.total() >= EXAMPLES
    assert {"ContainerError", "CorruptStreamError", "LimitError", "ModelMismatchError"} <= set(
        outcomes
    )


def forged(width: int, height: int, payload: bytes, codec: Whole) -> bytes:
    header = Header(system("base").container_id, codec.model_id, width, height, 0)
    return Container.seal(header, payload, ()).to_bytes()


def test_a_large_claim_with_a_small_payload_costs_nothing(golden_codec: Whole) -> None:
    """8192x8192 claimed by 100 bytes: refused before anything of that size is allocated."""
    blob = forged(8192, 8192, b"\x01" * 100, golden_codec)
    tracemalloc.start()
    with pytest.raises(CorruptStreamError, match="a picture of this size takes over"):
        golden_codec.decode(blob)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_random_payloads_end_and_are_refused(golden_codec: Whole) -> None:
    """A payload of noise decodes to symbols, at most once through, and fails its checksum."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        blob = forged(256, 256, rng.bytes(4000), golden_codec)
        with pytest.raises(CorruptStreamError):
            golden_codec.decode(blob)


def test_a_foreign_model_is_refused_before_decoding(golden_codec: Whole) -> None:
    blob = bytearray(BLOBS["strip"])
    blob[5] ^= 0xFF
    with pytest.raises(ModelMismatchError, match="decode it with the bundle that made it"):
        golden_codec.decode(bytes(blob))


def test_every_single_bit_of_a_stream_matters(golden_codec: Whole) -> None:
    blob = BLOBS["pixel"]
    for bit in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SidewireError):
            golden_codec.decode(bytes(damaged))


def test_the_cases_are_small_enough_to_fuzz() -> None:
    assert set(BLOBS) <= set(CASES)
    assert max(map(len, BLOBS.values())) < 2**16
