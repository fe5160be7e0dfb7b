"""The pool of decoders that stands behind the joiner, whatever it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from receiver.work import DecodeFailure, DecodeResult, DecodeTask
from shared.errors import SidewireError
from shared.wire.v1.types_pb2 import CodecId

__all__ = ["DECODE_SECONDS", "DecoderPool", "InspectingPool", "Inspection", "SwapError"]

#: Seconds that a batch may take, unless told otherwise: a decoder that hangs is replaced then, and one that
#: shares its cores with others is not.
DECODE_SECONDS = 300.0


class SwapError(SidewireError):
    """The bundle does not decode the streams that are decoded now."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """Where a stream spends its bits, and where its decoder lets the caption in.

    :class:`shared.codecs.interface.Insight`, for processes that have no torch.

    Attributes:
        bits: (ceil(H/16), ceil(W/16)) float32, ideal code length of the latents at each place, in bits.
        masks: one (h, w) float32 in 0..1 a text block of the decoder, coarse to fine; empty for a
            decoder without text.
        trust: 0..1, how far the decoder followed the caption; None where it does not say.
        caption_note: what the text encoder could not make of the caption; empty where all is well.
    """

    bits: NDArray[np.float32]
    masks: tuple[NDArray[np.float32], ...]
    trust: float | None
    caption_note: str = ""


class DecoderPool(Protocol):
    """Decodes batches; at-least-once, so a decoder that dies is nobody else's concern.

    A batch holds tasks of one codec and one picture size. At most ``width`` batches are given at once.
    """

    #: Batches that it works on at the same time; at least 1, and it may change at any time.
    width: int
    #: Most tasks in a batch.
    batch_limit: int
    #: What it decodes now, since :meth:`start`: a newer generator may read words where an older one did
    #: not. Empty for a pool that only plays at decoding.
    codecs: Sequence[CodecId] = ()
    #: Why nothing is decoded at present; empty while all is well.
    trouble: str = ""

    @property
    def alive(self) -> int:
        """Decoders that live at present, for people and metrics; as many as there are to be, by default."""
        return self.width

    async def start(self) -> Sequence[CodecId]:
        """Start the decoders; what they decode."""

    async def decode(self, tasks: Sequence[DecodeTask]) -> list[DecodeResult | DecodeFailure]:
        """One result a task, in order. A task that kills its decoder again and again becomes a
        failure; whatever else goes wrong is repeated inside. Never raises for a task's sake."""

    async def watch(self) -> None:
        """Keep ``trouble`` true, and mend what can be mended; until cancelled, or at once where nothing
        goes wrong that :meth:`decode` does not mend.

        Raises:
            SidewireError: there are no decoders any more, and there will be none.
        """

    async def close(self) -> None:
        """Stop the decoders."""


@runtime_checkable
class InspectingPool(DecoderPool, Protocol):
    """A pool whose decoders show what they do; it is asked by people, never while frames wait."""

    async def inspect(
        self, container: bytes, caption: str | None, language: str = ""
    ) -> Inspection:
        """What a decoder that is free does with one stream under a caption.

        Args:
            language: BCP 47 tag that came with the caption; empty where unknown.

        Raises:
            SidewireError: the container cannot be decoded.
        """
