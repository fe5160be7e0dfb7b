"""A process that measures pictures and decodes without the guard, so that torch stays out of the gateway's.

The viewer imports this module for its types, so torch waits until a process is a lab.
"""

from __future__ import annotations

import asyncio
import io
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image

from shared.errors import SidewireError, reason_of
from shared.pictures import picture_from_bytes
from shared.workers import WorkerProcess

if TYPE_CHECKING:
    from shared.codecs import Decoder

__all__ = ["Abilities", "Lab", "Measured", "build_lab"]

#: It runs beside decoders that somebody waits for.
NICE = 5
ANSWER_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the page can offer with this codec.

    Attributes:
        text: its decoder reads captions.
        guard: and watches for those that do not fit.
    """

    text: bool
    guard: bool


@dataclass(frozen=True, slots=True)
class Measure:
    """Compare two picture files."""

    original: bytes
    decoded: bytes


@dataclass(frozen=True, slots=True)
class Measured:
    """PSNR in dB and MS-SSIM in 0..1; None where the pictures are equal or too small for it."""

    psnr: float | None
    ms_ssim: float | None


@dataclass(frozen=True, slots=True)
class WithoutGuard:
    """Decode a container as if every caption were to be trusted."""

    container: bytes
    caption: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no answer, in one line."""

    reason: str


Request = Measure | WithoutGuard
Answer = Measured | bytes | Refused


def build_lab(codec: str) -> tuple[Abilities, Callable[[Request], Answer]]:
    """What a codec of that name can do, and what answers requests.

    Raises:
        UnknownCodecError, BundleError: there is none.
    """
    os.nice(NICE)
    import torch  # noqa: PLC0415

    from shared.codecs import StreamDecoder, load_decoder  # noqa: PLC0415

    torch.set_num_threads(1)
    unguarded = load_decoder(codec, guard=False)
    guarded = isinstance(unguarded, StreamDecoder) and unguarded.guarded
    return Abilities(text=unguarded.reads_text, guard=guarded), partial(_answer, unguarded)


def _answer(decoder: Decoder, request: Request) -> Answer:
    try:
        if isinstance(request, Measure):
            return _measured(request)
        decoded = decoder.decode(request.container, request.caption)
        file = io.BytesIO()
        Image.fromarray(decoded.picture).save(file, "PNG", compress_level=1)
        return file.getvalue()
    except Exception as error:  # whatever this picture did, the next one is looked at
        return Refused(reason_of(error))


def _measured(request: Measure) -> Measured:
    from shared.metrics import ms_ssim, psnr  # noqa: PLC0415

    original = picture_from_bytes(request.original)
    decoded = picture_from_bytes(request.decoded)
    decibels = psnr(original, decoded)
    return Measured(decibels if math.isfinite(decibels) else None, ms_ssim(original, decoded))


class Lab:
    """The process, in its parent.

    Args:
        codec: whose generator decodes.
    """

    def __init__(self, codec: str) -> None:
        self._process: WorkerProcess[Abilities, Request, Answer] = WorkerProcess(
            "lab process", partial(build_lab, codec), ANSWER_SECONDS
        )
        #: A process answers one request at a time.
        self._turn = asyncio.Lock()

    async def start(self) -> Abilities:
        """Start it.

        Raises:
            SidewireError: as :func:`build_lab`, or it cannot be started.
        """
        async with self._turn:
            return await self._process.start()

    async def measure(self, original: bytes, decoded: bytes) -> Measured:
        """Compare two picture files.

        Raises:
            SidewireError: they cannot be compared.
        """
        answer = await self._ask(Measure(original, decoded))
        assert isinstance(answer, Measured)
        return answer

    async def without_guard(self, container: bytes, caption: str) -> bytes:
        """PNG file of a stream decoded with a caption that is trusted fully.

        Raises:
            SidewireError: it cannot be decoded.
        """
        answer = await self._ask(WithoutGuard(container, caption))
        assert isinstance(answer, bytes)
        return answer

    async def _ask(self, request: Request) -> Answer:
        async with self._turn:
            if self._process.pid is None:
                await self._process.start()
            answer = await self._process.ask(request)
        if isinstance(answer, Refused):
            raise SidewireError(answer.reason)
        return answer

    async def stop(self) -> None:
        """End it at once."""
        await self._process.stop()
