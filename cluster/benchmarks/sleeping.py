"""A decoder that takes a fixed time and does nothing: a cluster's decoders without their networks.

It imports no torch, so that a machine holds more of them than it has cores.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.trials.frames import HEADER
from receiver.decoders.batches import InspectTask, Results, StreamTerms
from receiver.decoders.interface import SwapError
from receiver.work import DecodeResult, DecodeTask
from shared.bitstream.container import BITSTREAM_VERSION
from shared.errors import SidewireError
from shared.systems.catalogue import stream_name
from shared.wire.v1.types_pb2 import CodecId

__all__ = ["SleepingDecoder", "SleepingSettings"]


@dataclass(frozen=True, slots=True)
class SleepingSettings:
    """See :class:`DecoderSettings`.

    Attributes:
        seconds: that a picture takes, in a batch too.
    """

    seconds: float

    @property
    def model(self) -> str:
        """See :class:`DecoderSettings`."""
        return f"asleep for {1000 * self.seconds:g} ms"

    def build(self) -> SleepingDecoder:
        """See :class:`DecoderSettings`."""
        return SleepingDecoder(self.seconds)

    def successor(self, model: str) -> SleepingSettings:
        """See :class:`DecoderSettings`."""
        raise SwapError(f"a decoder that sleeps has no other model, such as {model!r}")


class SleepingDecoder:
    """Decodes the frames of :mod:`cluster.trials.frames` to empty pictures."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    @property
    def streams(self) -> Mapping[str, StreamTerms]:
        """See :class:`BatchDecoder`."""
        return {stream_name(HEADER.codec_id): StreamTerms(HEADER.model_id, ())}

    def codec_ids(self) -> list[bytes]:
        """See :class:`BatchDecoder`."""
        ids = (
            CodecId(name=name, bitstream_version=BITSTREAM_VERSION, model_id=terms.model_id)
            for name, terms in self.streams.items()
        )
        return [one.SerializeToString() for one in ids]

    def decode(self, tasks: Sequence[DecodeTask]) -> Results:
        """See :class:`BatchDecoder`."""
        time.sleep(self._seconds * len(tasks))
        return [DecodeResult(b"", "") for _ in tasks]

    def inspect(self, task: InspectTask) -> SidewireError:
        """See :class:`BatchDecoder`."""
        return SidewireError("a decoder that sleeps sees nothing")
