"""Inside a decoder, the only place in a receiver where torch is loaded.

The gateway imports this module for its types, so torch waits.
"""

from __future__ import annotations

import enum
import io
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from receiver.decoders.batches import DecoderSettings, InspectTask, Results, StreamTerms
from receiver.decoders.interface import Inspection
from receiver.work import DecodeFailure, DecodeResult, DecodeTask
from shared.bitstream.container import Container
from shared.errors import SidewireError, UnknownCodecError, reason_of
from shared.faults import reached
from shared.systems.catalogue import stream_name

if TYPE_CHECKING:
    from shared.codecs import Decoded, StreamDecoder

__all__ = [
    "Answer",
    "Decoder",
    "DecodingSettings",
    "PictureFormat",
    "Request",
    "build_decoder",
]

log = logging.getLogger("sidewire.decoder")


class PictureFormat(enum.Enum):
    """What decoders write. PNG is lossless, and takes some 27 ms for 768x512 pixels."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        """The media type, such as ``image/png``."""
        return f"image/{self.value}"


#: Pillow's arguments. PNG's level 1 takes a fifth of the default's time for a tenth more bytes.
SAVE: dict[PictureFormat, dict[str, int]] = {
    PictureFormat.PNG: {"compress_level": 1},
    PictureFormat.JPEG: {"quality": 92},
    PictureFormat.WEBP: {"quality": 90},
}


@dataclass(frozen=True, slots=True)
class DecodingSettings:
    """What a decoder decodes with, and into.

    Attributes:
        bundle: folder of the only model; None for every codec that containers can name.
        threads: of torch.
        generator: which codec decodes the streams that several can: a name, or a bundle's folder.
    """

    picture_format: PictureFormat
    bundle: Path | None
    threads: int
    generator: str = "ssa"

    @property
    def model(self) -> str:
        """See :class:`DecoderSettings`."""
        return str(self.bundle or self.generator)

    def build(self) -> Decoder:
        """See :class:`DecoderSettings`."""
        return Decoder(self)

    def successor(self, model: str) -> DecodingSettings:
        """See :class:`DecoderSettings`: a codec's name or a bundle's folder."""
        if self.bundle is not None:
            return replace(self, bundle=Path(model))
        return replace(self, generator=model)


class Decoder:
    """The codecs of this process, and the pictures they make.

    Raises:
        BundleError, TextWeightsError: weights are missing or damaged. UnknownCodecError: no such generator.
    """

    def __init__(self, settings: DecodingSettings) -> None:
        import torch  # noqa: PLC0415

        from receiver.decoders.loading import load_decoders  # noqa: PLC0415

        torch.set_num_threads(settings.threads)
        self._decoders = load_decoders(settings.bundle, settings.generator)
        self._format = settings.picture_format
        self._out_of_memory = (MemoryError, torch.OutOfMemoryError)

    def codec_ids(self) -> list[bytes]:
        """See :class:`BatchDecoder`."""
        from receiver.decoders.loading import codec_id  # noqa: PLC0415

        return [codec_id(*one).SerializeToString() for one in self._decoders.items()]

    @property
    def streams(self) -> dict[str, StreamTerms]:
        """See :class:`BatchDecoder`."""
        return {
            name: StreamTerms(decoder.model_id, decoder.qualities)
            for name, decoder in self._decoders.items()
        }

    def decode(self, tasks: Sequence[DecodeTask]) -> Results:
        """One answer a task; those of one codec are decoded together.

        Raises:
            MemoryError, torch.OutOfMemoryError: not the task's fault; this process ends of it.
        """
        answers: dict[int, DecodeResult | DecodeFailure] = {}
        groups: dict[str, list[int]] = defaultdict(list)
        for place, task in enumerate(tasks):
            reached(f"decoder.{task.frame.name}")
            try:
                groups[self._stream_of(task.frame.container)].append(place)
            except SidewireError as error:
                answers[place] = DecodeFailure(reason_of(error))
        for stream, places in groups.items():
            outcomes = self._decoded(self._decoders[stream], [tasks[place] for place in places])
            for place, outcome in zip(places, outcomes, strict=True):
                answers[place] = self._answer(outcome)
        return [answers[place] for place in range(len(tasks))]

    def inspect(self, task: InspectTask) -> Inspection | SidewireError:
        """What one stream and its decoder do under a caption, or why that cannot be seen."""
        try:
            decoder = self._decoders[self._stream_of(task.container)]
            seen = decoder.insight(task.container, task.caption)
        except SidewireError as error:
            return error
        note = decoder.caption_note(task.caption, task.language)
        return Inspection(seen.bits, seen.masks, seen.trust, note)

    def _stream_of(self, container: bytes) -> str:
        name = stream_name(Container.from_bytes(container).header.codec_id)
        if name not in self._decoders:
            raise UnknownCodecError(f"stream of codec {name}, which this decoder has not loaded")
        return name

    def _decoded(
        self, decoder: StreamDecoder, tasks: Sequence[DecodeTask]
    ) -> Sequence[Decoded | Exception]:
        blobs = [task.frame.container for task in tasks]
        captions = [task.caption.text if task.caption else None for task in tasks]
        try:
            return decoder.decode_batch(blobs, captions)
        except self._out_of_memory:
            raise
        except Exception as error:
            log.error("%d pictures are decoded one by one: %s", len(tasks), reason_of(error))
            return [self._alone(decoder, *one) for one in zip(blobs, captions, strict=True)]

    def _alone(
        self, decoder: StreamDecoder, blob: bytes, caption: str | None
    ) -> Decoded | Exception:
        """Decode one of a batch that failed as a whole, without its caption if it fails for that."""
        failure: Exception | None = None
        for words in dict.fromkeys((caption, None)):
            try:
                return decoder.decode_batch([blob], [words])[0]
            except self._out_of_memory:
                raise
            except Exception as error:
                failure = error
        assert failure is not None
        return failure

    def _answer(self, outcome: Decoded | Exception) -> DecodeResult | DecodeFailure:
        try:
            if isinstance(outcome, Exception):
                raise outcome
            file = io.BytesIO()
            Image.fromarray(outcome.picture).save(file, self._format.value, **SAVE[self._format])
        except self._out_of_memory:
            raise
        except Exception as error:  # also a format's: WebP ends at 16,383 pixels
            return DecodeFailure(reason_of(error))
        return DecodeResult(file.getvalue(), self._format.media_type)


Request = Sequence[DecodeTask] | InspectTask
Answer = Results | Inspection | SidewireError


def build_decoder(settings: DecoderSettings) -> tuple[list[bytes], Callable[[Request], Answer]]:
    """Serialised :class:`CodecId` messages of what it decodes, and what answers requests.

    Raises:
        SidewireError: it cannot be built.
    """
    decoder = settings.build()

    def answer(request: Request) -> Answer:
        if isinstance(request, InspectTask):
            return decoder.inspect(request)
        return decoder.decode(request)

    return decoder.codec_ids(), answer
