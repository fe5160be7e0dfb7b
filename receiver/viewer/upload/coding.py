"""What the coding process is asked, and how it is built. Torch waits until a process is one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from receiver.viewer.lab import NICE, Refused
from receiver.viewer.upload.state import CodecFacts, Made, Order
from shared.errors import reason_of

if TYPE_CHECKING:
    from receiver.viewer.upload.coder import Coder

__all__ = ["Answer", "Describe", "Described", "Make", "Request", "build_coder"]


@dataclass(frozen=True, slots=True)
class Describe:
    """Say what is seen on a picture of pixels."""

    picture: Path


@dataclass(frozen=True, slots=True)
class Described:
    """What was seen."""

    caption: str


@dataclass(frozen=True, slots=True)
class Make:
    """Compress a picture of pixels and draw it again.

    Attributes:
        stream: file for its container, of codecs that write one.
        target: file for the picture that a receiver would see.
    """

    picture: Path
    order: Order
    stream: Path
    target: Path


Request = Describe | Make
Answer = Described | Made | Refused


def build_coder(
    captioner: Path | None, threads: int
) -> tuple[tuple[CodecFacts, ...], Callable[[Request], Answer]]:
    """The codecs of this machine, and what answers requests.

    Args:
        captioner: folder of a model that is asked what it sees; None for no captions.
        threads: of torch.

    Raises:
        CaptionerError: the folder holds no captioner.
    """
    os.nice(NICE)
    import torch  # noqa: PLC0415

    from receiver.viewer.upload.coder import Coder, codec_facts  # noqa: PLC0415

    torch.set_num_threads(threads)
    return codec_facts(), partial(_answer, Coder(captioner))


def _answer(coder: Coder, request: Request) -> Answer:
    try:
        match request:
            case Describe():
                return coder.described(request)
            case Make():
                return coder.made(request)
    except Exception as error:  # whatever this picture did, the next one is coded
        return Refused(reason_of(error))
