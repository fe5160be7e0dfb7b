"""Codecs of the day: AVIF, HEIC, WebP, JPEG XL and JPEG, as Pillow writes them.

A blob is the native file, headers and all, without metadata: its length is the whole rate.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.codecs.baselines.interface import Baseline
from shared.codecs.interface import Encoded
from shared.pictures import Picture, check_side  # importing it registers HEIC and JPEG XL

__all__ = ["FORMATS", "PillowCodec", "PillowFormat", "file_of", "jxl_quality", "open_file"]


def file_of(image: Image.Image, kind: str, options: Mapping[str, object]) -> bytes:
    """An image as a file of a format that Pillow knows by this name."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def open_file(data: bytes, kind: str) -> Image.Image:
    """A file of this format and no other; its size is known, its pixels have not been read.

    Raises:
        ValueError: it is of another format. Exception: it is damaged, and so may its pixels be.
    """
    try:
        return Image.open(io.BytesIO(data), formats=(kind,))
    except UnidentifiedImageError:
        raise ValueError(f"not a {kind} file") from None


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


class PillowCodec(Baseline):
    """A file format as a baseline."""

    def __init__(self, settings: PillowFormat) -> None:
        self.settings = settings
        self.name = settings.name
        self.qualities = settings.qualities

    def encode(self, picture: Picture, quality: int) -> Encoded:
        """See :meth:`Encoder.encode`."""
        height, width = self.check(picture, quality)
        image, options = Image.fromarray(picture), self.settings.options(quality)
        return Encoded(file_of(image, self.settings.format, options), width, height)

    def picture_of(self, blob: bytes) -> Picture:
        """See :meth:`Baseline.picture_of`."""
        with open_file(blob, self.settings.format) as image:
            check_side("width", image.width)
            check_side("height", image.height)
            return np.array(image.convert("RGB"))
