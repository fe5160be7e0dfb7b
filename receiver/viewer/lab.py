"""A process that measures, draws and compares pictures: torch stays out of the gateway's.

The viewer imports this module for its types, so torch waits until a process is a lab. What that does is in
:mod:`receiver.viewer.bench`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shared.errors import SidewireError, reason_of
from shared.workers import WorkerProcess

if TYPE_CHECKING:
    from receiver.viewer.bench import Bench

__all__ = [
    "NICE",
    "Abilities",
    "Draw",
    "Fit",
    "Found",
    "Lab",
    "Match",
    "Measure",
    "Measured",
    "Refused",
    "build_lab",
]

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
class Draw:
    """Decode a container with a caption; without ``guard`` as if every caption were to be trusted."""

    container: bytes
    caption: str
    guard: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """What a format of the day makes of a picture file in so many bytes.

    Attributes:
        baseline: its name.
    """

    original: bytes
    baseline: str
    limit: int


@dataclass(frozen=True, slots=True)
class Match:
    """The bytes that a format of the day needs for a picture as near to the original as ``decoded``."""

    original: bytes
    baseline: str
    decoded: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found; see :class:`~receiver.viewer.rivals.Fitted`.

    Attributes:
        png: what a page shows of it.
    """

    png: bytes
    bytes: int
    quality: int
    shrink: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no answer, in one line."""

    reason: str


Request = Measure | Draw | Fit | Match
Answer = Measured | Found | bytes | Refused | None


def build_lab(codec: str) -> tuple[Abilities, Callable[[Request], Answer]]:
    """What a codec of that name can do, and what answers requests.

    Raises:
        UnknownCodecError, BundleError: there is none.
    """
    os.nice(NICE)
    import torch  # noqa: PLC0415

    from receiver.viewer.bench import Bench  # noqa: PLC0415
    from shared.codecs import StreamDecoder, load_decoder  # noqa: PLC0415

    torch.set_num_threads(1)
    decoder = load_decoder(codec)
    guarded = isinstance(decoder, StreamDecoder) and decoder.guarded
    return Abilities(text=decoder.reads_text, guard=guarded), partial(
        _answer, Bench(codec, decoder)
    )


def _answer(bench: Bench, request: Request) -> Answer:
    try:
        match request:
            case Measure():
                return bench.measured(request)
            case Draw():
                return bench.drawn(request)
            case Fit():
                return bench.fitted(request)
            case Match():
                return bench.matched(request)
    except Exception as error:  # whatever this picture did, the next one is looked at
        return Refused(reason_of(error))


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

    async def draw(self, container: bytes, caption: str, *, guard: bool) -> bytes:
        """PNG file of a stream decoded with a caption; without ``guard`` that is trusted fully.

        Raises:
            SidewireError: it cannot be decoded.
        """
        answer = await self._ask(Draw(container, caption, guard))
        assert isinstance(answer, bytes)
        return answer

    async def fit(self, original: bytes, baseline: str, limit: int) -> Found | None:
        """The best that a format makes of a picture file in so many bytes; None where nothing fits.

        Raises:
            SidewireError: it cannot be searched.
        """
        answer = await self._ask(Fit(original, baseline, limit))
        assert answer is None or isinstance(answer, Found)
        return answer

    async def match(self, original: bytes, baseline: str, decoded: bytes) -> Found | None:
        """What a format needs for a picture as good as ``decoded``; None where it cannot be had.

        Raises:
            SidewireError: it cannot be searched.
        """
        answer = await self._ask(Match(original, baseline, decoded))
        assert answer is None or isinstance(answer, Found)
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
