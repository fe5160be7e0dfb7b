"""One encoding process, from both ends: a file goes down its pipe, a container or a reason comes back.

The parent's end of the pipe is in the parent alone, so each side sees at once that the other is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import SidewireError
from shared.faults import reached

if TYPE_CHECKING:
    from shared.codecs.interface import Codec

__all__ = ["PROCESS_NAME", "CodecSettings", "EncodeProcess", "EncoderError", "Unencodable"]

PROCESS_NAME = "sidewire-encode"

#: Deaths of a process at one picture after which the picture is to blame.
DEATHS_AT_A_PICTURE = 2
#: Deaths while the codec is being built after which it is no use trying.
DEATHS_AT_START = 3
LONGEST_REASON = 500


class EncoderError(SidewireError):
    """Encoding processes cannot be kept alive."""


@dataclass(frozen=True, slots=True)
class CodecSettings:
    """What a process encodes with.

    Attributes:
        codec: a registered name; not looked at where there is a bundle.
        threads: of torch.
        bundle: folder of another model bundle than the one that ships.
    """

    codec: str
    quality: int
    threads: int
    bundle: Path | None = None


@dataclass(frozen=True, slots=True)
class Unencodable:
    """Why a picture has no container, in one line."""

    reason: str


# In the process


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _build(settings: CodecSettings) -> Codec:
    import torch  # noqa: PLC0415 - the parent imports this module and never torch

    import shared.codecs  # noqa: PLC0415
    from shared.bitstream.container import CODEC_IDS  # noqa: PLC0415
    from shared.bundle import load_bundle  # noqa: PLC0415
    from shared.errors import UnknownCodecError  # noqa: PLC0415

    torch.set_num_threads(settings.threads)
    if settings.bundle is None:
        codec = shared.codecs.get_codec(settings.codec)
    else:
        codec = shared.codecs.base.HyperpriorCodec(load_bundle(settings.bundle))
    if codec.name not in CODEC_IDS:
        raise UnknownCodecError(
            f"codec {codec.name!r} writes files of its own format, not containers:"
            f" choose one of {', '.join(CODEC_IDS)}"
        )
    codec.check_quality(settings.quality)
    return codec


def _encode(codec: Codec, quality: int, image: bytes) -> bytes | Unencodable:
    from shared.pictures import picture_from_bytes  # noqa: PLC0415

    reached("encoder.before_encode")
    try:
        return codec.encode(picture_from_bytes(image), quality).blob
    except SidewireError as error:
        reason = str(error)
    except Exception as error:  # whatever this picture did, the next one is encoded
        reason = f"{type(error).__name__}: {error}"
    return Unencodable(" ".join(reason.split())[:LONGEST_REASON])


def _serve(connection: Connection, settings: CodecSettings) -> None:
    """Say which container a single pixel becomes, then answer each picture until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent drains
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import numpy as np  # noqa: PLC0415

    try:
        codec = _build(settings)
    except SidewireError as error:
        connection.send(error)
        return
    probe = codec.encode(np.zeros((1, 1, 3), np.uint8), settings.quality)
    with suppress(EOFError, OSError):
        connection.send(probe.blob)
        while True:
            connection.send(_encode(codec, settings.quality, connection.recv_bytes()))


# In the parent


class EncodeProcess:
    """A process and its replacements. Calls block; one picture at a time is encoded."""

    def __init__(self, settings: CodecSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._stopped = False
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def start(self) -> bytes:
        """Start the process and build its codec.

        Returns:
            The container of a black pixel.

        Raises:
            UnknownCodecError, QualityError, BundleError: the settings are wrong.
            EncoderError: the process died again and again, or was stopped.
        """
        with self._lock:
            return self._start()[1]

    def encode(self, image: bytes) -> bytes | Unencodable:
        """The container of a picture's file. A process that dies is replaced, and the picture tried again.

        Raises:
            EncoderError: it cannot be replaced, or was stopped. SidewireError: as :meth:`start`.
        """
        with self._lock:
            for _ in range(DEATHS_AT_A_PICTURE):
                connection = self._connection or self._start()[0]
                try:
                    connection.send_bytes(image)
                    answer: bytes | Unencodable = connection.recv()
                    return answer
                except (EOFError, OSError):
                    self._bury()
                    self._check_running()  # killed by stop, it is not the picture's fault
            return Unencodable(f"its encoding process died {DEATHS_AT_A_PICTURE} times")

    def stop(self) -> None:
        """Kill the process at once, and let a call in another thread end with EncoderError."""
        self._stopped = True
        process = self._process
        if process:
            process.kill()
        with self._lock:
            self._bury()

    def _start(self) -> tuple[Connection, bytes]:
        for _ in range(DEATHS_AT_START):
            self._check_running()
            spawn = multiprocessing.get_context("spawn")
            self._connection, theirs = spawn.Pipe()
            process = spawn.Process(
                target=_serve, args=(theirs, self._settings), name=PROCESS_NAME, daemon=True
            )
            process.start()
            theirs.close()
            self._process = process
            if self._stopped:  # by another thread, which has seen no process yet
                process.kill()
            try:
                answer: bytes | SidewireError = self._connection.recv()
            except (EOFError, OSError):
                self._bury()
                continue
            if isinstance(answer, SidewireError):
                self._bury()
                raise answer
            return self._connection, answer
        raise EncoderError(
            f"an encoding process died {DEATHS_AT_START} times while it built codec"
            f" {self._settings.codec!r}"
        )

    def _check_running(self) -> None:
        if self._stopped:
            raise EncoderError("the encoding process was stopped")

    def _bury(self) -> None:
        if self._process and self._connection:
            self._connection.close()
            self._process.kill()
            self._process.join()
        self._process = self._connection = None
