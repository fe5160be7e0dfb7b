"""docs/protocol.md says what the code does: reasons, fields, limits, and an example in bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import pytest
from google.protobuf.descriptor import FileDescriptor

from receiver.settings import ReceiveSettings
from shared.bitstream import short_form
from shared.bitstream.container import BITSTREAM_VERSION
from shared.wire.errors import Reason, Turn
from shared.wire.limits import Limits
from shared.wire.v1 import (
    caption_channel_pb2,
    control_pb2,
    delivery_pb2,
    image_channel_pb2,
    types_pb2,
)
from tests import vectors
from tests.conformance.__main__ import RECEIVER_CHECKS
from tests.conformance.make_vectors import crc_input
from tests.conformance.sender_checks import SENDER_CHECKS

DOCUMENT = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")
BITSTREAM, _, WIRE = DOCUMENT.partition("# Part 2: the wire\n")
FILES = (types_pb2, control_pb2, image_channel_pb2, caption_channel_pb2, delivery_pb2)


def rows(section: str, part: str = WIRE) -> list[list[str]]:
    """The cells of all tables under a heading."""
    text = re.search(rf"^##+ {section}\n(.*?)(?=^##+ |\Z)", part, re.MULTILINE | re.DOTALL)
    assert text is not None, f"no section {section!r}"
    lines = [line for line in text[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def hex_block(kind: str) -> bytes:
    """The bytes of a fenced block: what stands left of two spaces."""
    block = re.search(rf"^```{kind}\n(.*?)^```", WIRE, re.MULTILINE | re.DOTALL)
    assert block is not None
    return bytes.fromhex("".join(line.partition("  ")[0] for line in block[1].splitlines()))


def fields(file: FileDescriptor) -> Iterator[tuple[str, str]]:
    for message in file.message_types_by_name.values():
        for field in message.fields:
            yield message.name, field.name


# Names


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_every_reason_stands_with_its_code_and_turn(reason: Reason) -> None:
    found = [row for row in rows("Refusals") if row[0] == reason.name]
    assert [row[1:3] for row in found] == [[reason.code.name, reason.turn.name]]


def test_no_other_reason_stands_there() -> None:
    named = {row[0] for row in rows("Refusals") if row[0].isupper()}
    assert named == {reason.name for reason in Reason} | {turn.name for turn in Turn}


@pytest.mark.parametrize("module", FILES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_field_stands_in_the_document(module: object) -> None:
    names = list(fields(module.DESCRIPTOR))
    assert names
    missing = [f"{message}.{name}" for message, name in names if f"`{name}`" not in WIRE]
    assert missing == []


def test_every_disposition_stands_in_the_table() -> None:
    names = {name.removeprefix("DISPOSITION_") for name in types_pb2.Disposition.keys()}  # noqa: SIM118
    assert {row[0] for row in rows("Acks")} >= names - {"UNSPECIFIED"}


@pytest.mark.parametrize("check", [*RECEIVER_CHECKS, *SENDER_CHECKS], ids=lambda check: check.name)
def test_every_rule_of_the_kit_names_its_section(check: object) -> None:
    assert f"\n## {check.section}\n" in WIRE
    assert check.text.endswith(".")


# Numbers


def test_the_version_of_the_bitstream_is_the_codes() -> None:
    assert f"# Part 1: the bitstream\n\nVersion {BITSTREAM_VERSION}," in BITSTREAM
    (stated,) = [row[2] for row in rows("Messages and fields") if row[1] == "`bitstream_version`"]
    assert f": {BITSTREAM_VERSION}; 1 for the long form alone" in stated


def test_the_short_form_is_as_long_as_the_codes() -> None:
    *head, payload = [row[:2] for row in rows("The short form", BITSTREAM)[2:]]
    assert sum(int(size) for _, size in head) == short_form.HEAD_BYTES
    assert payload == [str(short_form.HEAD_BYTES), f"0-{short_form.LONGEST_PAYLOAD}"]
    assert f"The **check** is the low {short_form.CHECK_BITS} bits" in BITSTREAM


def test_limits_are_the_defaults() -> None:
    limits = Limits()
    stated = {cells[1].strip("`"): cells[2] for cells in rows("Messages and fields")}
    assert stated["frame_bytes"] == f"{limits.frame_bytes >> 20} MiB"
    assert stated["seq_window"] == f"{limits.seq_window:,}"
    assert stated["caption_bytes`, `name_bytes"] == (
        f"{limits.caption_bytes >> 10} KiB, {limits.name_bytes}"
    )
    for name, window, what in (
        ("image_window", limits.image_window, "pictures"),
        ("caption_window", limits.caption_window, "captions"),
    ):
        assert stated[name] == f"{window.frames:,} {what}, {window.bytes >> 20} MiB"


@pytest.mark.parametrize("name", ["caption_wait", "late_window", "caption_ttl", "drain_seconds"])
def test_timings_are_the_defaults(name: str) -> None:
    (stated,) = [row[1] for row in rows("Timings") if row[0].startswith(f"`{name}`")]
    assert float(stated) == ReceiveSettings.model_fields[name].default


# Bytes


def test_the_example_is_a_message() -> None:
    example = image_channel_pb2.StreamImagesRequest.FromString(hex_block("wire"))
    assert example == image_channel_pb2.StreamImagesRequest(skip=vectors.skip())


def test_the_examples_checksum_is_over_the_bytes_that_stand_there() -> None:
    covered = hex_block("crc")
    assert covered == crc_input(vectors.STREAM_ID, vectors.EPOCH, vectors.skip())
    crc32c = google_crc32c.value(covered)
    assert crc32c == vectors.skip().crc32c
    assert f"whose CRC32C is `{crc32c:08x}`" in WIRE
    for data in (hex_block("wire"), covered):
        assert f"{len(data)} bytes" in WIRE
