"""Inside a decoder process: the only place in a receiver where torch is loaded.

The gateway imports this module for its types, so torch waits until a process is a decoder. Requests
come on stdin and answers go to what was stdout, each a length and a pickle.
"""

from __future__ import annotations

import ctypes
import enum
import io
import os
import pickle
import signal
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image

from receiver.work import DecodeFailure, DecodeResult, DecodeTask
from shared.bitstream.container import CODEC_IDS, VERSION, Container, codec_name
from shared.errors import BundleError, SidewireError, UnknownCodecError
from shared.faults import reached
from shared.wire.v1.types_pb2 import CodecId

if TYPE_CHECKING:
    from shared.codecs.base import HyperpriorCodec

__all__ = ["LENGTH", "PictureFormat", "Settings", "main", "packed"]

#: Before each pickle: its length.
LENGTH = struct.Struct("<Q")
PR_SET_PDEATHSIG = 1
LONGEST_REASON = 500


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
    """The first request.

    Attributes:
        bundle: folder of the only model; None for every codec that containers can name.
        threads: of torch.
        parent: process id of the gateway, without which there is no reason to live.
    """

    picture_format: PictureFormat
    bundle: Path | None
    threads: int
    parent: int


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

    def decode(self, tasks: Sequence[DecodeTask]) -> list[DecodeResult | DecodeFailure]:
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
        except SidewireError as error:
            return DecodeFailure(_one_line(str(error)))
        except Exception as error:
            return DecodeFailure(_one_line(f"{type(error).__name__}: {error}"))

    def _picture_file(self, task: DecodeTask) -> bytes:
        name = codec_name(Container.from_bytes(task.frame.container).header.codec_id)
        if name not in self._codecs:
            raise UnknownCodecError(f"stream of codec {name}, which this decoder has not loaded")
        # No codec reads task.caption yet; one that does gets it in this call.
        decoded = self._codecs[name].decode(task.frame.container)
        file = io.BytesIO()
        Image.fromarray(decoded.picture).save(file, self._format.value, **SAVE[self._format])
        return file.getvalue()


def _one_line(text: str) -> str:
    return " ".join(text.split())[:LONGEST_REASON]


def _stay_with_parent(parent: int) -> None:
    """Live exactly as long as the gateway does: signals to a terminal's or a service's whole group are
    the gateway's to handle (it drains), and its death, however sudden, is this process's too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(f"the gateway {parent} is gone")


def packed(message: object) -> bytes:
    """A request or an answer as it stands in the pipe."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(data)) + data


def _requests(pipe: BinaryIO) -> Iterator[Any]:
    """One request after the other until the pipe closes."""
    while len(head := pipe.read(LENGTH.size)) == LENGTH.size:
        yield pickle.loads(pipe.read(*LENGTH.unpack(head)))


def main() -> None:
    """Answer the settings with codec ids or a :class:`BundleError`, then each batch with its results."""
    # Whatever prints goes to stderr from here on.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = _requests(sys.stdin.buffer)
    settings: Settings = next(requests)
    _stay_with_parent(settings.parent)

    def answer(message: object) -> None:
        answers.write(packed(message))
        answers.flush()

    try:
        decoder = Decoder(settings)
    except BundleError as error:
        answer(error)
        return
    answer(decoder.codec_ids())
    for tasks in requests:
        answer(decoder.decode(tasks))
