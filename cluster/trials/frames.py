"""Synthetic frames: real containers around random payloads that carry their sequence number."""

from __future__ import annotations

import random

from sender.journal import Outgoing
from sender.words import Words
from shared.bitstream.container import Container
from shared.bitstream.header import Header
from shared.systems.catalogue import system

__all__ = ["frame", "sequence_number", "words"]

HEADER = Header(system("base").container_id, b"\0\0\0\0", 768, 512, 4)
SEQ_BYTES = 8


def content_id(seq: int) -> bytes:
    """What both channels know frame ``seq`` by."""
    return seq.to_bytes(16, "big")


def frame(seq: int, payload_bytes: int = 5000) -> Outgoing:
    """A frame whose payload begins with its number; only a no-op decoder takes it."""
    noise = random.Random(seq).randbytes(payload_bytes - SEQ_BYTES)
    container = Container(HEADER, 0, seq.to_bytes(SEQ_BYTES, "big") + noise)
    return Outgoing(seq, f"frame-{seq}", content_id(seq), container.to_bytes())


def sequence_number(container: bytes) -> int:
    """The number that :func:`frame` put in."""
    return int.from_bytes(Container.from_bytes(container).payload[:SEQ_BYTES], "big")


def words(seq: int) -> Words:
    """A caption of usual length."""
    return Words(seq, content_id(seq), f"Caption {seq}: two people cross a bridge in the rain")
