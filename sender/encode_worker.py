"""Inside an encoding process, the only place in a sender where torch is loaded.

The sender imports this module for its types, so torch waits until a process is an encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.bitstream.container import CODEC_IDS
from shared.errors import UnknownCodecError, reason_of
from shared.faults import reached
from shared.pictures import picture_from_bytes

if TYPE_CHECKING:
    from shared.codecs.interface import Codec

__all__ = ["CodecSettings", "Unencodable", "build_encoder"]


@dataclass(frozen=True, slots=True)
class CodecSettings:
    """What a process encodes with.

    Attributes:
        codec: a registered name; not looked at where there is a bundle.
        threads: of torch.
        bundle: folder of another model bundle than the one that ships.
    """

    codec: str
    quality: int | None
    threads: int
    bundle: Path | None = None


@dataclass(frozen=True, slots=True)
class Unencodable:
    """Why a picture has no container, in one line."""

    reason: str


def build_encoder(
    settings: CodecSettings,
) -> tuple[bytes, Callable[[bytes], bytes | Unencodable]]:
    """The container of a black pixel, and what turns a picture's file into a container.

    Raises:
        UnknownCodecError, QualityError, BundleError: the settings are wrong.
    """
    import torch  # noqa: PLC0415

    from shared.codecs import load_codec  # noqa: PLC0415
    from shared.codecs.interface import InsightCodec  # noqa: PLC0415

    torch.set_num_threads(settings.threads)
    codec = load_codec(settings.codec, settings.bundle)
    if not isinstance(codec, InsightCodec):
        raise UnknownCodecError(
            f"codec {codec.name!r} writes files of its own format, not containers:"
            f" choose one of {', '.join(CODEC_IDS)}"
        )
    quality = codec.default_quality if settings.quality is None else settings.quality
    probe = codec.encode(np.zeros((1, 1, 3), np.uint8), quality)
    return probe.blob, partial(_encode, codec, quality)


def _encode(codec: Codec, quality: int, image: bytes) -> bytes | Unencodable:
    reached("encoder.before_encode")
    try:
        return codec.encode(picture_from_bytes(image), quality).blob
    except Exception as error:  # whatever this picture did, the next one is encoded
        return Unencodable(reason_of(error))
