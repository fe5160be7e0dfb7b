"""Codecs of the day as baselines: AVIF, HEIC, WebP, JPEG XL and JPEG, as Pillow writes them.

A blob is the native file, headers and all, without metadata: its length is the whole rate.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.codecs.interface import Decoded, Decoder, Encoded, Encoder
from shared.errors import CorruptStreamError, SidewireError
from shared.pictures import Picture, check_side  # importing it registers HEIC and JPEG XL
from shared.systems.catalogue import TextPlacement

__all__ = ["FORMATS", "PillowCodec", "PillowFormat", "baseline", "baseline_names"]


def jxl_quality(distance: float) -> float:
    """The plugin's 0..100 quality for a Butteraugli distance in 0.1..25 (1 is visually lossless).

    The plugin takes no distance; it hands its quality q to libjxl's JxlEncoderDistanceFromQuality,
    which is ``0.1 + 0.09 (100 - q)`` from q = 30 up and ``53/3000 q^2 - 23/20 q + 25`` below. This
    is the inverse.
    """
    if distance <= 6.4:
        return 100 - (distance - 0.1) / 0.09
    a, b, c = 53 / 3000, -23 / 20, 25 - distance
    return (-b - math.sqrt(b * b - 4 * a * c)) / (2 * a)


@dataclass(frozen=True)
class PillowFormat:
    """One file format.

    Attributes:
        name: of the codec.
        format: Pillow's name of the format.
        qualities: levels, coarsest first, in the codec's own unit.
        options: ``Image.save``'s arguments for a level.
    """

    name: str
    format: str
    qualities: tuple[int, ...]
    options: Callable[[int], dict[str, object]]


FORMATS = (
    PillowFormat(
        "baseline/avif",
        "AVIF",
        (5, 15, 25, 40, 55, 70),
        lambda level: {"quality": level, "speed": 4, "subsampling": "4:2:0"},
    ),
    PillowFormat(
        "baseline/heic",
        "HEIF",
        (5, 15, 25, 40, 50),
        lambda level: {"quality": level, "chroma": 420},
    ),
    PillowFormat(
        "baseline/webp",
        "WEBP",
        (0, 5, 20, 50, 75, 90),
        lambda level: {"quality": level, "method": 6},
    ),
    PillowFormat(
        "baseline/jxl",
        "JXL",
        # Tenths of a Butteraugli distance. From 10 up, libjxl 0.12 halves the resolution, which the
        # plugin cannot switch off and which costs more than it saves: 9.5 is the last without it.
        (150, 95, 80, 40, 25, 10),
        lambda level: {"quality": jxl_quality(level / 10), "effort": 7},
    ),
    PillowFormat(
        "baseline/jpeg",
        "JPEG",
        (2, 5, 10, 20, 40, 60, 75),
        lambda level: {"quality": level, "optimize": True, "subsampling": "4:2:0"},
    ),
)


class PillowCodec(Encoder, Decoder):
    """A file format as both halves of a codec; it reads its own format and no other."""

    text = TextPlacement.NOWHERE
    reads_text = False

    def __init__(self, settings: PillowFormat) -> None:
        self.settings = settings
        self.name = settings.name
        self.qualities = settings.qualities

    def encode(self, picture: Picture, quality: int) -> Encoded:
        """See :meth:`Encoder.encode`."""
        height, width = self.check(picture, quality)
        file = io.BytesIO()
        options = self.settings.options(quality)
        Image.fromarray(picture).save(file, self.settings.format, **options)
        return Encoded(file.getvalue(), width, height)

    def decode_batch(
        self, blobs: Sequence[bytes], captions: Sequence[str | None]
    ) -> list[Decoded | SidewireError]:
        """See :meth:`Decoder.decode_batch`."""
        outcomes: list[Decoded | SidewireError] = []
        for blob in blobs:
            try:
                outcomes.append(self._decoded(blob))
            except SidewireError as error:
                outcomes.append(error)
        return outcomes

    def _decoded(self, blob: bytes) -> Decoded:
        try:
            with Image.open(io.BytesIO(blob), formats=(self.settings.format,)) as image:
                check_side("width", image.width)
                check_side("height", image.height)
                return Decoded(np.array(image.convert("RGB")))
        except SidewireError:
            raise
        except UnidentifiedImageError:
            raise CorruptStreamError(f"{self.name}: not a {self.settings.format} file") from None
        except Exception as error:  # decoders of damaged files raise nearly anything
            raise CorruptStreamError(f"{self.name}: damaged file: {error}") from None


@cache
def _writable() -> dict[str, PillowFormat]:
    Image.init()
    # JPEG XL comes with an extra.
    return {one.name: one for one in FORMATS if one.format in Image.SAVE}


def baseline_names() -> tuple[str, ...]:
    """The baselines that this machine can write."""
    return tuple(_writable())


def baseline(name: str) -> PillowCodec:
    """The baseline of that name, which must be one of :func:`baseline_names`."""
    return PillowCodec(_writable()[name])
