"""What one decoder is, whoever hosts it: batches in, answers out.

Two hosts: a process of the gateway's machine (:mod:`receiver.decoders.processes`) and a Ray actor of a
cluster. Both are told settings, which travel, and build the decoder where it is to work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from receiver.decoders.interface import Inspection, SwapError
from receiver.work import DecodeFailure, DecodeResult, DecodeTask
from shared.errors import SidewireError

__all__ = [
    "BatchDecoder",
    "DecoderSettings",
    "InspectTask",
    "Results",
    "StreamTerms",
    "check_successor",
]

Results = list[DecodeResult | DecodeFailure]


@dataclass(frozen=True, slots=True)
class InspectTask:
    """A stream that is to be looked into, and the words to decode it with.

    Attributes:
        language: BCP 47 tag that came with the caption; empty where unknown.
    """

    container: bytes
    caption: str | None
    language: str = ""


@dataclass(frozen=True, slots=True)
class StreamTerms:
    """Which containers a decoder takes.

    Attributes:
        model_id: in their headers.
        levels: what the quality in a header means, by its number.
    """

    model_id: bytes
    levels: tuple[object, ...]


class BatchDecoder(Protocol):
    """Codecs that are loaded; not to be used by two threads at once."""

    @property
    def streams(self) -> Mapping[str, StreamTerms]:
        """What it decodes, by codec name."""

    def codec_ids(self) -> list[bytes]:
        """Serialised ``CodecId`` messages, as these cannot be pickled."""

    def decode(self, tasks: Sequence[DecodeTask]) -> Results:
        """One answer a task.

        Raises:
            MemoryError, torch.OutOfMemoryError: not the task's fault; its process ends of it.
        """

    def inspect(self, task: InspectTask) -> Inspection | SidewireError:
        """What one stream and its decoder do under a caption, or why that cannot be seen."""


class DecoderSettings(Protocol):
    """What a decoder is built from; pickled on its way to where that happens."""

    @property
    def model(self) -> str:
        """A name for people."""

    def build(self) -> BatchDecoder:
        """Load everything.

        Raises:
            SidewireError: weights are missing or damaged, or there is no such codec.
        """

    def successor(self, model: str) -> DecoderSettings:
        """The same with another model for the same streams.

        Raises:
            SwapError: it has none.
        """


def check_successor(older: BatchDecoder, newer: BatchDecoder) -> None:
    """Whether one decoder decodes all that another does.

    Raises:
        SwapError: a stream of the older one's would be refused, or its levels mean something else.
    """
    for name, terms in older.streams.items():
        other = newer.streams.get(name)
        found = other.model_id.hex() if other else "nothing"
        if other is None or other.model_id != terms.model_id:
            raise SwapError(
                f"streams of {name} are of model {terms.model_id.hex()}, the newer one decodes {found}:"
                " only a generator of the same stream can take its place"
            )
        if other.levels[: len(terms.levels)] != terms.levels:
            raise SwapError(
                f"streams of {name} have the levels {terms.levels}, the newer one's are {other.levels}"
            )
