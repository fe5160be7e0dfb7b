"""Hostile streams: each is a typed error or the verified picture, within stated work and memory."""

from __future__ import annotations

import secrets
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from shared.bitstream.container import Container, Form
from shared.bitstream.header import Header
from shared.errors import CorruptStreamError, ModelMismatchError, SidewireError
from shared.pictures import Picture
from shared.systems.catalogue import system
from tests.codecs import Whole
from tests.conftest import GOLDEN
from tests.golden.make import CASES
from tests.mutations import drawn, mutate

BLOBS = {case: (GOLDEN / f"{case}.swi").read_bytes() for case in ("strip", "pixel", "lighthouse")}
EXAMPLES = 6000
SHORT_EXAMPLES = 250


def outcome(codec: Whole, blob: bytes, whole: bytes) -> str:
    """What becomes of a damaged blob: its error's type, or "picture" for what the whole one holds.

    The check of a short form is right by chance for one in sixteen million of those that decode at all. Some
    thousand are tried here, always the same for a model's weights, and none is.
    """
    try:
        decoded = codec.decode(blob)
    except SidewireError as error:
        assert str(error)
        assert "\n" not in str(error)
        return type(error).__name__
    intact = codec.decode(whole)
    assert decoded.symbols_crc32c == intact.symbols_crc32c
    np.testing.assert_array_equal(decoded.picture, intact.picture)
    return "picture"


def tried(codec: Whole, blob: bytes, damaged: Iterable[bytes]) -> Counter[str]:
    return Counter(outcome(codec, one, blob) for one in damaged)


def test_six_thousand_mutated_streams(golden_codec: Whole) -> None:
    """Others in each run: the seed is shown where one of them fails."""
    seed = secrets.randbits(32)
    print("seed", seed)
    random = Random(seed)
    found: Counter[str] = Counter()
    for blob in BLOBS.values():
        mutated = (mutate(blob, drawn(random)) for _ in range(EXAMPLES // len(BLOBS)))
        found += tried(golden_codec, blob, mutated)
    assert found.total() == EXAMPLES
    assert {"ContainerError", "CorruptStreamError", "LimitError", "ModelMismatchError"} <= set(
        found
    )


def forged(width: int, height: int, payload: bytes, codec: Whole) -> bytes:
    header = Header(system("base").container_id, codec.model_id, width, height, 0)
    return Container.seal(header, (), lambda _: payload).to_bytes()


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
    for damaged in flips(BLOBS["pixel"]):
        with pytest.raises(SidewireError):
            golden_codec.decode(damaged)


# The short form


@pytest.fixture(scope="module", params=[0, 1])
def small(request: pytest.FixtureRequest, base_codec: Whole, kodak: dict[str, Picture]) -> bytes:
    """A 32x32 picture of the shipped model, 6 bytes and its payload."""
    picture = np.ascontiguousarray(kodak["kodim15"][80:112, 60:92])
    blob = base_codec.encode(picture, request.param).blob
    assert Container.from_bytes(blob).form is Form.SHORT
    return blob


def flips(blob: bytes) -> Iterator[bytes]:
    """With each single bit turned."""
    for bit in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bytes(damaged)


def test_every_single_bit_of_a_short_stream_matters(base_codec: Whole, small: bytes) -> None:
    found = tried(base_codec, small, flips(small))
    assert found.total() == 8 * len(small)
    assert not found["picture"]
    assert {"ContainerError", "CorruptStreamError", "ModelMismatchError"} <= set(found)


def test_every_truncation_of_a_short_stream_is_refused(base_codec: Whole, small: bytes) -> None:
    cuts = [small[:length] for length in range(len(small))]
    longer = [small + bytes([value]) for value in (0, 1, 255)]
    found = tried(base_codec, small, [*cuts, *longer])
    assert not found["picture"]


def test_mutated_short_streams(base_codec: Whole, small: bytes) -> None:
    random = Random(1)
    mutated = (mutate(small, drawn(random)) for _ in range(SHORT_EXAMPLES))
    found = tried(base_codec, small, mutated)
    assert found.total() == SHORT_EXAMPLES
    assert {"ContainerError", "CorruptStreamError", "ModelMismatchError"} <= set(found)


def test_a_large_claim_in_six_bytes_costs_nothing(base_codec: Whole) -> None:
    header = Header(system("base").container_id, base_codec.model_id, 8192, 8192, 0)
    container = Container.seal(header, (), lambda _: b"")
    assert container.form is Form.SHORT
    tracemalloc.start()
    with pytest.raises(CorruptStreamError, match="a picture of this size takes over"):
        base_codec.decode(container.to_bytes())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_another_model_that_begins_with_the_same_byte_is_caught(
    base_codec: Whole, small: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very symbols are decoded; the check knows the whole id that they were coded under."""
    terms = base_codec.decoder.terms
    alike = terms.model_id[:1] + bytes(byte ^ 0xFF for byte in terms.model_id[1:])
    monkeypatch.setattr(base_codec.decoder, "terms", replace(terms, model_id=alike))
    with pytest.raises(CorruptStreamError, match="checksum"):
        base_codec.decode(small)


def test_the_cases_are_small_enough_to_fuzz() -> None:
    assert set(BLOBS) <= set(CASES)
    assert max(map(len, BLOBS.values())) < 2**16
