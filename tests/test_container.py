"""The container: round trips, its overhead, and that nothing malformed passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bitstream.container import LARGEST_PAYLOAD, MAGIC, Container, Header
from shared.bitstream.varint import read_varint, write_varint
from shared.errors import ContainerError, CorruptStreamError, LimitError
from shared.pictures import LARGEST_SIDE

PROTOCOL = Path(__file__).parents[1] / "docs" / "protocol.md"
SYMBOLS = (np.arange(-50, 50, dtype=np.int16),)

headers = st.builds(
    Header,
    codec_id=st.integers(0, 255),
    model_id=st.binary(min_size=4, max_size=4),
    width=st.integers(1, LARGEST_SIDE),
    height=st.integers(1, LARGEST_SIDE),
    quality=st.integers(0, 255),
)


def sealed(payload: bytes = b"abcd" * 10) -> Container:
    return Container.seal(Header(1, b"\x01\x02\x03\x04", 768, 512, 4), payload, SYMBOLS)


@given(headers, st.binary(max_size=300))
def test_round_trip(header: Header, payload: bytes) -> None:
    container = Container.seal(header, payload, SYMBOLS)
    again = Container.from_bytes(container.to_bytes())
    assert again == container
    again.verify(SYMBOLS)


@pytest.mark.parametrize("size", [0, 100, 8_000, 16_383, 16_384, 40_000, 2_000_000])
def test_overhead_is_at_most_twenty_bytes_at_768x512(size: int) -> None:
    assert len(sealed(bytes(size)).to_bytes()) - size <= 20


def test_bytes_are_as_documented() -> None:
    """The worked example of docs/protocol.md."""
    blob = sealed(b"\xde\xad\xbe\xef").to_bytes()
    documented = "53 d7 10 01 01 02 03 04 80 06 80 04 04 04 73 98 2e 77 de ad be ef"
    assert blob.hex(" ") == documented
    assert documented in PROTOCOL.read_text()


def test_every_truncation_is_refused() -> None:
    blob = sealed().to_bytes()
    for length in range(len(blob)):
        with pytest.raises(ContainerError):
            Container.from_bytes(blob[:length])
    with pytest.raises(ContainerError, match="bytes where the header says"):
        Container.from_bytes(blob + b"\0")


def test_every_header_bit_is_covered() -> None:
    """A flipped bit before the payload is malformed, over a limit, or fails the checksum."""
    blob = sealed().to_bytes()
    start = len(blob) - 40
    for bit in range(start * 8):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((ContainerError, LimitError, CorruptStreamError)):
            Container.from_bytes(bytes(damaged)).verify(SYMBOLS)


def test_changed_symbols_are_found_out() -> None:
    changed = SYMBOLS[0].copy()
    changed[17] += 1
    with pytest.raises(CorruptStreamError, match="checksum"):
        sealed().verify((changed,))


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (8193, 5), (5, 2**27)])
def test_sides_beyond_the_limits_are_refused(width: int, height: int) -> None:
    blob = Header(1, bytes(4), width, height, 0).pack(0) + bytes(4)
    with pytest.raises(LimitError, match=r"must be at (least|most)"):
        Container.from_bytes(blob)


def test_a_payload_over_the_limit_is_refused_by_its_length_alone() -> None:
    blob = Header(1, bytes(4), 8, 8, 0).pack(LARGEST_PAYLOAD + 1) + bytes(4)
    with pytest.raises(ContainerError, match=str(LARGEST_PAYLOAD)):
        Container.from_bytes(blob)


@given(st.integers(0, 2**28 - 1))
def test_varints_round_trip_and_are_shortest(value: int) -> None:
    data = write_varint(value)
    assert read_varint(data, 0, "x") == (value, len(data))
    with pytest.raises(ContainerError):
        read_varint(bytes([data[-1] | 0x80, 0]), 0, "x")


@given(st.binary(max_size=60))
def test_random_bytes_raise_typed_errors(data: bytes) -> None:
    with pytest.raises((ContainerError, LimitError)):
        Container.from_bytes(MAGIC + data)
