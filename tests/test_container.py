"""The container's two forms: round trips, when each is chosen, and that nothing malformed passes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.bitstream import short_form
from shared.bitstream.container import Container, Form, symbols_crc32c
from shared.bitstream.header import LARGEST_PAYLOAD, MAGIC, Header
from shared.bitstream.varint import read_varint, write_varint
from shared.entropy.coder import BOTTOM_BITS, EntropyCoder
from shared.entropy.tables import FrozenTables, quantise_pmf
from shared.errors import ContainerError, CorruptStreamError, LimitError
from shared.pictures import LARGEST_SIDE

PROTOCOL = Path(__file__).parents[1] / "docs" / "protocol.md"
MODEL_ID = b"\x01\x02\x03\x04"
HEADER = Header(1, MODEL_ID, 768, 512, 4)
SYMBOLS = (np.arange(-50, 50, dtype=np.int16),)
PAYLOAD = b"abcd" * 10
SHORT_BYTES = 6
CHECKS = st.sampled_from([1, 0xFF, 0x100, 2**23, 2**24 - 1]) | st.integers(0, 2**24 - 1)

#: A codec of bytes, all of them as likely as each other.
BYTES = EntropyCoder(FrozenTables.pack([(-129, quantise_pmf(np.full(258, 1 / 258)))]))
INDICES = np.zeros(SYMBOLS[0].size, np.uint8)

headers = st.builds(
    Header,
    codec_id=st.integers(0, 255),
    model_id=st.binary(min_size=4, max_size=4),
    width=st.integers(1, LARGEST_SIDE),
    height=st.integers(1, LARGEST_SIDE),
    quality=st.integers(0, 255),
)
small_headers = st.builds(replace, headers, codec_id=st.integers(1, 31), quality=st.integers(0, 63))
#: What an entropy coder writes: words, the last of them not zero.
coded = st.lists(st.integers(0, 2**32 - 1), max_size=64).map(
    lambda words: b"".join(word.to_bytes(4, "little") for word in [*words, 7])
)


def compress(bottom: int) -> bytes:
    """The payload of :data:`SYMBOLS`."""
    return BYTES.encode([(SYMBOLS[0], INDICES)], bottom)


def giving(payload: bytes) -> Callable[[int], bytes]:
    """Always this payload, whatever lies at its bottom."""
    return lambda bottom: payload


def short_check(header: Header = HEADER) -> int:
    """What the short form puts below :data:`SYMBOLS`."""
    return symbols_crc32c(header.pack(0), SYMBOLS) & 0xFFFFFF


def sealed_long(payload: bytes | None = None) -> Container:
    """In the long form, also where the short one would do: such streams were written once."""
    payload = compress(0) if payload is None else payload
    return Container(HEADER, symbols_crc32c(HEADER.pack(len(payload)), SYMBOLS), payload)


def sealed_short() -> Container:
    container = Container.seal(HEADER, SYMBOLS, compress)
    assert container.form is Form.SHORT
    return container


BOTH = pytest.mark.parametrize("seal", [sealed_long, sealed_short])


@given(headers, st.binary(max_size=300) | coded)
def test_round_trip(header: Header, payload: bytes) -> None:
    container = Container.seal(header, SYMBOLS, giving(payload))
    again = Container.from_bytes(container.to_bytes())
    assert again == container
    assert again.payload == payload
    assert again.header.is_of(header.model_id)
    short = again.form is Form.SHORT
    expected = symbols_crc32c(header.pack(0 if short else len(payload)), SYMBOLS)
    bottom = short_check(header) if short else 0
    assert again.verify(SYMBOLS, header.model_id, bottom) == expected


@given(small_headers, coded.filter(lambda payload: len(payload) < 256))
@example(Header(1, MODEL_ID, 1, 1, 0), b"")
@example(Header(31, MODEL_ID, LARGEST_SIDE, LARGEST_SIDE, 63), b"\1\0\0\0")
def test_round_trip_in_the_short_form(header: Header, payload: bytes) -> None:
    container = Container.seal(header, SYMBOLS, giving(payload))
    assert container.form is Form.SHORT
    blob = container.to_bytes()
    assert len(blob) == SHORT_BYTES + len(payload.rstrip(b"\0"))
    again = Container.from_bytes(blob)
    assert again == container
    assert replace(again.header, model_id=header.model_id) == header
    assert (again.payload, again.header.model_id) == (payload, header.model_id[:1])
    expected = symbols_crc32c(header.pack(0), SYMBOLS)
    assert again.verify(SYMBOLS, header.model_id, short_check(header)) == expected


@given(CHECKS)
def test_only_the_check_at_the_bottom_passes_in_the_short_form(bottom: int) -> None:
    container = sealed_short()
    check = short_check()
    assert container.payload == compress(check)
    assert container.verify(SYMBOLS, MODEL_ID, check) & 0xFFFFFF == check
    if bottom != check:
        with pytest.raises(
            CorruptStreamError, match=f"is {check:#x}, the stream says {bottom:#x}$"
        ):
            container.verify(SYMBOLS, MODEL_ID, bottom)


def test_nothing_lies_at_the_bottom_in_the_long_form() -> None:
    container = sealed_long(compress(7))
    with pytest.raises(CorruptStreamError, match="does not end where its symbols do"):
        container.verify(SYMBOLS, MODEL_ID, 7)


def test_the_check_fits_at_the_bottom() -> None:
    assert short_form.CHECK_BITS == BOTTOM_BITS


@pytest.mark.parametrize(
    ("without", "checked", "form", "bottoms"),
    [
        (100, 104, Form.SHORT, [0, short_check()]),
        (252, 256, Form.LONG, [0, short_check()]),
        (256, 252, Form.LONG, [0]),
        (8000, 8004, Form.LONG, [0]),
    ],
)
def test_only_short_payloads_are_compressed_for_their_check(
    without: int, checked: int, form: Form, bottoms: list[int]
) -> None:
    seen = []

    def compress(bottom: int) -> bytes:
        seen.append(bottom)
        return b"\xff" * (checked if bottom else without)

    container = Container.seal(HEADER, SYMBOLS, compress)
    assert (container.form, seen) == (form, bottoms)
    assert len(container.payload) == (checked if form is Form.SHORT else without)


@pytest.mark.parametrize(
    ("changes", "payload", "form"),
    [
        ({}, b"", Form.SHORT),
        ({}, b"\xff" * 252, Form.SHORT),
        ({}, b"\xff" * 255 + b"\0", Form.SHORT),
        ({}, b"\xff" * 256, Form.LONG),
        ({}, b"\xff" * 255 + b"\0" * 5, Form.LONG),
        ({}, b"\xff" * 3, Form.LONG),
        ({}, b"\xff" * 4 + b"\0" * 4, Form.LONG),
        ({}, bytes(4), Form.LONG),
        ({"quality": 63}, PAYLOAD, Form.SHORT),
        ({"quality": 64}, PAYLOAD, Form.LONG),
        ({"codec_id": 0}, PAYLOAD, Form.LONG),
        ({"codec_id": 31}, PAYLOAD, Form.SHORT),
        ({"codec_id": 32}, PAYLOAD, Form.LONG),
        ({"width": 1, "height": LARGEST_SIDE}, PAYLOAD, Form.SHORT),
        ({"width": LARGEST_SIDE, "height": 1}, PAYLOAD, Form.SHORT),
    ],
)
def test_the_form_is_short_wherever_that_can_be(
    changes: dict[str, int], payload: bytes, form: Form
) -> None:
    container = Container.seal(replace(HEADER, **changes), SYMBOLS, giving(payload))
    assert container.form is form
    assert Container.from_bytes(container.to_bytes()) == container


@pytest.mark.parametrize("size", [0, 100, 8_000, 16_383, 16_384, 40_000, 2_000_000])
def test_overhead_is_at_most_twenty_bytes_at_768x512(size: int) -> None:
    payload = bytes(size)
    for container in (sealed_long(payload), Container.seal(HEADER, (), giving(payload))):
        assert len(container.to_bytes()) - size <= 20


def test_the_long_forms_bytes_are_as_documented() -> None:
    documented = "53 d7 10 01 01 02 03 04 80 06 80 04 04 04 73 98 2e 77 de ad be ef"
    assert sealed_long(b"\xde\xad\xbe\xef").to_bytes().hex(" ") == documented
    assert re.search(rf"^    {documented}$", PROTOCOL.read_text(), re.MULTILINE)


def test_the_short_forms_bytes_are_as_documented() -> None:
    """The header, the checksum, what each push makes of the stack, and the blob."""
    document = PROTOCOL.read_text()
    frequencies = np.array([1, 16384, 32766, 16384, 1], np.uint16)
    coder = EntropyCoder(FrozenTables.pack([(-2, frequencies)]))
    symbols, indices = np.array([1, 1, -1, 0, 1], np.int16), np.zeros(5, np.uint8)
    crc = symbols_crc32c(HEADER.pack(0), [symbols])
    covered = f"{HEADER.pack(0).hex(' ')}   {symbols.astype('<i2').tobytes().hex(' ')}"
    assert f"\n    {covered}   CRC32C {crc:08x}\n" in document
    stacks = [
        int.from_bytes(coder.encode([(symbols[left:], indices[left:])], crc & 0xFFFFFF), "little")
        for left in (5, 4, 3, 2, 1, 0)
    ]
    assert f"\n    {' -> '.join(f'{stack:x}' for stack in stacks)}\n" in document
    container = Container.seal(
        HEADER, [symbols], lambda bottom: coder.encode([(symbols, indices)], bottom)
    )
    assert re.search(rf"^    {container.to_bytes().hex(' ')}$", document, re.MULTILINE)


# What is refused


def read(blob: bytes) -> Container:
    """Do as a decoder of that codec and model."""
    container = Container.from_bytes(blob)
    decoder = BYTES.open(container.payload)
    symbols = decoder.decode(INDICES)
    container.verify([symbols], MODEL_ID, decoder.finish())
    return container


def test_every_truncation_is_refused_by_the_long_form() -> None:
    blob = sealed_long().to_bytes()
    for length in range(len(blob)):
        with pytest.raises(ContainerError):
            Container.from_bytes(blob[:length])
    with pytest.raises(ContainerError, match="bytes where the header says"):
        Container.from_bytes(blob + b"\0")


def test_every_truncation_is_found_out_in_the_short_form() -> None:
    """By its length in the header; in the payload, where no length is said, by what is decoded."""
    blob = sealed_short().to_bytes()
    read(blob)
    for length in range(len(blob)):
        error = ContainerError if length < SHORT_BYTES else CorruptStreamError
        with pytest.raises(error):
            read(blob[:length])


def taken(blob: bytes) -> bool:
    """Whether a decoder of the model takes a blob, out of which it reads the symbols."""
    try:
        return read(blob).header.is_of(MODEL_ID)
    except (ContainerError, LimitError, CorruptStreamError):
        return False


@BOTH
def test_every_bit_is_covered(seal) -> None:
    """Of the header as of the payload."""
    blob = seal().to_bytes()
    assert taken(blob)
    for bit in range(len(blob) * 8):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not taken(bytes(damaged)), f"bit {bit}"


@BOTH
def test_changed_symbols_are_found_out(seal) -> None:
    changed = SYMBOLS[0].copy()
    changed[17] += 1
    with pytest.raises(CorruptStreamError, match="checksum"):
        seal().verify((changed,), MODEL_ID, short_check() if seal is sealed_short else 0)


@BOTH
def test_another_model_is_found_out(seal) -> None:
    """One that begins with the same byte only by the checksum, where no more of its id stands."""
    container = read(seal().to_bytes())
    alike, unlike = MODEL_ID[:3] + b"\xff", b"\xff" + MODEL_ID[1:]
    assert container.header.is_of(MODEL_ID)
    assert not container.header.is_of(unlike)
    assert container.header.is_of(alike) == (container.form is Form.SHORT)
    with pytest.raises(CorruptStreamError, match="checksum"):
        container.verify(SYMBOLS, alike, short_check() if seal is sealed_short else 0)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (b"\xff" * 3 + b"\0", "ends in a zero byte"),
        (b"\0", "ends in a zero byte"),
        (b"\xff" * 256, "is 256 bytes, at most 255"),
        (b"\xff" * 255 + b"\0", "is 256 bytes, at most 255"),
    ],
)
def test_a_short_payload_is_written_in_one_way(tail: bytes, message: str) -> None:
    head = sealed_short().to_bytes()[:SHORT_BYTES]
    with pytest.raises(ContainerError, match=message):
        Container.from_bytes(head + tail)


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


@given(st.integers(0b101_00000, 0b101_11111), st.binary(max_size=300))
def test_random_bytes_are_no_short_form_or_the_only_one_of_what_they_say(
    first: int, data: bytes
) -> None:
    blob = bytes([first]) + data
    try:
        container = Container.from_bytes(blob)
    except ContainerError:
        return
    assert container.form is Form.SHORT
    assert container.to_bytes() == blob
