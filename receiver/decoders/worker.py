"""Inside a decoder process, the only place in a receiver where torch is loaded.

The gateway imports this module for its types, so torch waits until a process is a decoder.
"""

from __future__ import annotations

import enum
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from receiver.work import DecodeFailure, DecodeResult, DecodeTask
from shared.bitstream.container import CODEC_IDS, VERSION, Container, codec_name
from shared.errors import UnknownCodecError, reason_of
from shared.faults import reached
from shared.wire.v1.types_pb2 import CodecId

if TYPE_CHECKING:
    from shared.codecs.base import HyperpriorCodec

__all__ = ["Decoder", "PictureFormat", "Results", "Settings", "build_decoder"]

Results = list[DecodeResult | DecodeFailure]


class PictureFormat(enum.Enum):
    """What decoders write. PNG is lossless, and takes some 27 ms for 768x512 pixels."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        """Such as ``image/png``."""
        return f"image/{self.value}"


#: Pillow's arguments. PNG's level 1 takes a fifth of the default's time for a tenth more bytes.
SAVE: dict[PictureFormat, dict[str, int]] = {
    PictureFormat.PNG: {"compress_level": 1},
    PictureFormat.JPEG: {"quality": 92},
    PictureFormat.WEBP: {"quality": 90},
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process decodes with, and into.

    Attributes:
        bundle: folder of the only model; None for every codec that containers can name.
        threads: of torch.
    """

    picture_format: PictureFormat
    bundle: Path | None
    threads: int


class Decoder:
    """The codecs of this process, and the pictures they make.

    Raises:
        BundleError: weights are missing or damaged.
    """

    def __init__(self, settings: Settings) -> None:
        import torch  # noqa: PLC0415

        from shared.bundle import load_bundle  # noqa: PLC0415
        from shared.codecs import base  # noqa: PLC0415

        torch.set_num_threads(settings.threads)
        folders = [settings.bundle] if settings.bundle else map(base.shipped_bundle, CODEC_IDS)
        codecs = [base.HyperpriorCodec(load_bundle(folder)) for folder in folders]
        self._codecs: dict[str, HyperpriorCodec] = {codec.name: codec for codec in codecs}
        self._format = settings.picture_format
        self._out_of_memory = (MemoryError, torch.OutOfMemoryError)

    def codec_ids(self) -> list[bytes]:
        """Serialised :class:`CodecId` messages, as these cannot be pickled."""
        return [
            CodecId(
                name=name, bitstream_version=VERSION, model_id=codec.model_id
            ).SerializeToString()
            for name, codec in self._codecs.items()
        ]

    def decode(self, tasks: Sequence[DecodeTask]) -> Results:
        """One answer a task.

        Raises:
            MemoryError, torch.OutOfMemoryError: not the task's fault; this process ends of it.
        """
        return [self._decode(task) for task in tasks]

    def _decode(self, task: DecodeTask) -> DecodeResult | DecodeFailure:
        reached(f"decoder.{task.frame.name}")
        try:
            return DecodeResult(self._picture_file(task), self._format.media_type)
        except self._out_of_memory:
            raise
        except Exception as error:
            return DecodeFailure(reason_of(error))

    def _picture_file(self, task: DecodeTask) -> bytes:
        name = codec_name(Container.from_bytes(task.frame.container).header.codec_id)
        if name not in self._codecs:
            raise UnknownCodecError(f"stream of codec {name}, which this decoder has not loaded")
        # No codec reads task.caption yet; one that does gets it in this call.
        decoded = self._codecs[name].decode(task.frame.container)
        file = io.BytesIO()
        Image.fromarray(decoded.picture).save(file, self._format.value, **SAVE[self._format])
        return file.getvalue()


def build_decoder(
    settings: Settings,
) -> tuple[list[bytes], Callable[[Sequence[DecodeTask]], Results]]:
    """Serialised :class:`CodecId` messages of what it decodes, and what decodes batches.

    Raises:
        BundleError: weights are missing or damaged.
    """
    decoder = Decoder(settings)
    return decoder.codec_ids(), decoder.decode
