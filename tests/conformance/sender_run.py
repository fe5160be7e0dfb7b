"""What a sender under test did: the transcript of its whole run, as the scripted receiver saw it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import grpc

from shared.wire.channels import server_options
from shared.wire.errors import Reason
from shared.wire.limits import Limits
from shared.wire.v1 import (
    caption_channel_pb2,
    caption_channel_pb2_grpc,
    control_pb2,
    control_pb2_grpc,
    image_channel_pb2,
    image_channel_pb2_grpc,
)
from shared.wire.v1 import types_pb2 as wire

__all__ = ["Arrival", "Connection", "Opening", "Run", "Side"]

Payload = image_channel_pb2.ImageFrame | image_channel_pb2.SkippedFrame | caption_channel_pb2.Caption
Mark = tuple[int, int]


@dataclass(frozen=True)
class Arrival:
    """One message after the attach, and what had been granted by then.

    Attributes:
        used: messages and bytes since the attach, this one included.
    """

    message: Payload | None
    used: wire.Credit
    granted: wire.Credit

    @property
    def mark(self) -> Mark:
        """seq, and the revision of a caption."""
        assert self.message is not None
        return self.message.seq, getattr(self.message, "revision", 0)
