"""The wire's small parts: positions against a plain set, checksums, and errors there and back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import google_crc32c
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SidewireError
from shared.wire.checksums import ack_crc, caption_crc, frame_crc, skip_crc
from shared.wire.errors import DOMAIN, Reason, WireError
from shared.wire.positions import Positions
from shared.wire.v1 import types_pb2 as wire
from shared.wire.v1.caption_channel_pb2 import Caption
from shared.wire.v1.image_channel_pb2 import ImageFrame, SkippedFrame
from tests import vectors
from tests.vectors import EPOCH, STREAM_ID

HIGHEST = 40
numbers = st.integers(0, HIGHEST)


def as_set(positions: Positions) -> set[int]:
    return {seq for seq in range(HIGHEST + 2) if seq in positions}


def filled(seqs: list[int]) -> Positions:
    positions = Positions()
    for seq in seqs:
        positions.add(seq)
    return positions


# Positions


@given(st.lists(numbers))
def test_positions_are_a_set(seqs: list[int]) -> None:
    positions, plain = Positions(), set()
    for seq in seqs:
        assert positions.add(seq) is (seq not in plain)
        plain.add(seq)
        assert as_set(positions) == plain


@given(st.lists(numbers))
def test_positions_are_told_in_one_way_only(seqs: list[int]) -> None:
    """The cumulative part is as long as it can be, ranges rise and never touch; order leaves no trace."""
    positions = filled(seqs)
    assert positions.cumulative not in positions
    spans = list(positions.spans())
    assert len(spans) == positions.gaps + 1
    for (_, end), (start, next_end) in pairwise(spans):
        assert end < start < next_end
    assert positions == filled(sorted(seqs, reverse=True))


@given(st.lists(numbers))
def test_positions_cross_the_wire(seqs: list[int]) -> None:
    positions = filled(seqs)
    message = wire.Positions.FromString(positions.to_message().SerializeToString())
    assert Positions.from_message(message) == positions
    assert {seq for one in message.ranges for seq in range(one.first, one.last + 1)} == {
        seq for seq in seqs if seq >= message.cumulative
    }


@given(st.lists(numbers), numbers)
def test_a_copy_is_independent(seqs: list[int], other: int) -> None:
    positions = filled(seqs)
    positions.copy().add(other)
    assert as_set(positions) == set(seqs)


@given(st.lists(numbers))
def test_closing_the_lowest_gap(seqs: list[int]) -> None:
    positions = filled(seqs)
    gaps = positions.gaps
    first = next((start for start, _ in list(positions.spans())[1:]), 0)
    positions.close_lowest_gap()
    assert positions.gaps == max(0, gaps - 1)
    assert as_set(positions) == set(seqs) | set(range(first))


@pytest.mark.parametrize(
    "ranges",
    [[(5, 6)], [(3, 4)], [(9, 8)], [(7, 8), (9, 9)], [(10, 12), (7, 8)], [(7, 9), (8, 12)]],
    ids=["touches", "below", "backwards", "touch each other", "fall", "overlap"],
)
def test_positions_that_make_no_sense_are_refused(ranges: list[tuple[int, int]]) -> None:
    told = [wire.SeqRange(first=first, last=last) for first, last in ranges]
    with pytest.raises(SidewireError, match="does not follow"):
        Positions.from_message(wire.Positions(cumulative=5, ranges=told))


# Checksums

MESSAGES = (vectors.frame, vectors.skip, vectors.caption, vectors.tombstone, vectors.ack)


def crc(message: Message, stream_id: str = STREAM_ID, epoch: int = EPOCH) -> int:
    """The checksum of any message that carries one."""
    match message:
        case ImageFrame():
            return frame_crc(stream_id, epoch, message)
        case SkippedFrame():
            return skip_crc(stream_id, epoch, message)
        case Caption():
            return caption_crc(stream_id, epoch, message)
        case _:
            return ack_crc(stream_id, epoch, message.positions, message.outcomes)


def test_checksums_are_what_they_always_were() -> None:
    """Both ends compute these; they may change only together with the package's version."""
    found = {message.__name__: f"{crc(message()):08x}" for message in MESSAGES}
    assert found == {
        "frame": "9eacee5e",
        "skip": "b0f9e47f",
        "caption": "2b913a7d",
        "tombstone": "89ed802c",
        "ack": "7c0ee9fc",
    }


def test_a_checksum_is_crc32c_of_the_documented_bytes() -> None:
    by_hand = (
        b"\x02"  # the kind
        b"\x0a\x00\x00\x00newswire-7"
        b"\x00\x28\x6b\xee"  # epoch 4,000,000,000
        b"\x0c\x00\x00\x00\x00\x00\x00\x00"  # seq 12
        b"\x10\x00\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
        b"\x06\x00\x00\x00broken"
        b"\x0d\x00\x00\x00not a picture"
    )
    assert crc(vectors.skip()) == google_crc32c.value(by_hand)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_a_checksum_covers_the_key(message: Callable[[], Message]) -> None:
    assert len({crc(message()), crc(message(), "newswire-8"), crc(message(), epoch=1)}) == 3


CHANGES: list[tuple[Callable[[], Message], dict[str, object]]] = [
    (vectors.frame, {"seq": 1}),
    (vectors.frame, {"content_id": bytes(16)}),
    (vectors.frame, {"name": "other"}),
    (vectors.frame, {"expects_caption": False}),
    (vectors.frame, {"ttl": Duration(nanos=1)}),
    (vectors.frame, {"container": b"other"}),
    (vectors.skip, {"seq": 1}),
    (vectors.skip, {"content_id": bytes(16)}),
    (vectors.skip, {"name": "other"}),
    (vectors.skip, {"reason": "other"}),
    (vectors.skip, {"name": "brokenn", "reason": "ot a picture"}),
    (vectors.caption, {"seq": 1}),
    (vectors.caption, {"content_id": b""}),
    (vectors.caption, {"revision": 4}),
    (vectors.caption, {"text": "other"}),
    (vectors.caption, {"language": "en"}),
    (vectors.caption, {"ttl": Duration()}),
    (vectors.tombstone, {"text": ""}),
    (vectors.ack, {"positions": wire.Positions(cumulative=2**53)}),
    (vectors.ack, {"outcomes": [wire.Outcome(seq=7, revision=2)]}),
]


@pytest.mark.parametrize(("message", "change"), CHANGES)
def test_a_checksum_covers_every_field(
    message: Callable[[], Message], change: dict[str, object]
) -> None:
    original = message()
    fields = {field.name: value for field, value in original.ListFields()}
    if "text" in change:
        fields.pop("tombstone", None)
    changed = type(original)(**fields | change)
    assert changed != original
    assert crc(changed) != crc(original)


@pytest.mark.parametrize(
    "message",
    [vectors.frame, vectors.skip, vectors.caption, vectors.ack],
    ids=lambda one: one.__name__,
)
def test_the_changes_name_every_field(message: Callable[[], Message]) -> None:
    """A field that is new in a message must get into its checksum, and into the list above. Nothing follows
    from a trace context, and a receiver of before it would find such a checksum wrong."""
    fields = {field.name for field in message().DESCRIPTOR.fields}
    changed = {name for one, change in CHANGES if one is message for name in change}
    assert (
        fields - {"crc32c", "tombstone", "traceparent"} == changed
    )  # a tombstone's change is to have a text


# Errors


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_an_error_crosses_the_wire(reason: Reason) -> None:
    error = WireError(reason, "caption is 20000 bytes, at most 16384", limit=16384, value=20000)
    status = Status.FromString(error.to_status().SerializeToString())
    assert status.code == reason.code.value[0]
    back = WireError.from_status(status)
    assert back is not None
    assert (back.reason, str(back)) == (reason, str(error))
    assert back.details == error.details == {"limit": "16384", "value": "20000"}


def test_no_reason_is_another_ones_alias() -> None:
    """An enum takes two equal values for one member."""
    assert [reason.name for reason in Reason] == list(Reason.__members__)


@pytest.mark.parametrize(
    "info",
    [
        ErrorInfo(reason="CHECKSUM", domain="example.com"),
        ErrorInfo(reason="NEWER_THAN_WE_ARE", domain=DOMAIN),
        Status(message="another type of detail"),
        None,
    ],
    ids=["foreign domain", "unknown reason", "other detail", "no detail"],
)
def test_a_status_without_a_reason_of_ours(info: Message | None) -> None:
    status = Status(code=3, message="no")
    if info is not None:
        status.details.add().Pack(info)
    assert WireError.from_status(status) is None
