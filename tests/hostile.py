"""What tests of hostile clients share: decoders and disks that stand still, and proof that all goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
import pytest

from receiver.decoders.noop import NoOpPool
from receiver.sinks.ledger_only import LedgerOnlySink
from receiver.work import DecodeFailure, DecodeResult, DecodeTask, Delivery
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.rules import Violation
from tests.conformance.talk import Talk
from tests.wire_client import DECODED, IMAGES, Local, good

__all__ = [
    "LAST_EPOCH",
    "NO_TEXT",
    "WITH_TEXT",
    "FullDisk",
    "GatedPool",
    "goes_on",
    "goes_on_with_words",
    "status",
]

NO_TEXT, WITH_TEXT = wire.DISPOSITION_DECODED_NO_TEXT, wire.DISPOSITION_DECODED_WITH_TEXT
LAST_EPOCH = 2**32 - 1


class GatedPool(NoOpPool):
    """Decodes nothing until its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()

    def shut(self) -> None:
        """Close it."""
        self.gate.clear()
        self.asked.clear()

    async def decode(self, tasks: Sequence[DecodeTask]) -> list[DecodeResult | DecodeFailure]:
        self.asked.set()
        await self.gate.wait()
        return await super().decode(tasks)


class FullDisk(LedgerOnlySink):
    """A sink without room, until somebody makes some."""

    full = True

    def write(self, deliveries: Sequence[Delivery]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")


async def goes_on(images: Talk, seq: int) -> None:
    """The very stream that was abused still takes a picture."""
    await images.send(frame=images.frame(seq, good(seq)))
    assert (await images.end_of(seq)).disposition in DECODED


async def status(talk: Talk) -> grpc.StatusCode:
    """How a call ends that ends without a reason of ours."""
    with pytest.raises(Violation, match="the call ended with"):
        await talk.silence()
    code: grpc.StatusCode = await talk._call.code()
    return code


async def goes_on_with_words(local: Local, words: Talk) -> None:
    """The very caption stream that was abused still takes words that a picture is decoded with."""
    peer = await local.peer()
    images = await local.talk(peer, IMAGES, words.session.stream_id, epoch=words.session.epoch)
    seq = images.positions.cumulative
    await images.send(frame=images.frame(seq, good(seq), expects_caption=True))
    await words.send(caption=words.caption(seq, "two people", revision=2**31 - 1))
    assert (await images.end_of(seq)).disposition == WITH_TEXT
