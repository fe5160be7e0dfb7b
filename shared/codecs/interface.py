"""What every codec is, whoever wrote it: a name, a text placement, quality levels, bytes and back.

The type tells who needs the caption. A codec whose text lives at the decoder (or nowhere) has an
``encode`` without a text parameter: the sender is blind, and the bits cannot depend on the words.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from dataclasses import dataclass

from shared.errors import QualityError
from shared.pictures import Picture

__all__ = ["Codec", "Decoded", "Encoded", "TextPlacement"]


class TextPlacement(enum.Enum):
    """Which end of a codec reads the caption."""

    NOWHERE = "nowhere"
    DECODER = "decoder"
    ENCODER = "encoder"
    BOTH = "both"
    IN_STREAM = "in stream"


@dataclass(frozen=True)
class Encoded:
    """A picture as bytes; ``len(blob)`` is the rate, all of it."""

    blob: bytes
    width: int
    height: int

    @property
    def bits_per_pixel(self) -> float:
        """Real bits of the whole blob, a pixel of the true picture."""
        return 8 * len(self.blob) / (self.width * self.height)


@dataclass(frozen=True)
class Decoded:
    """A picture again.

    Attributes:
        picture: (H, W, 3) uint8.
        symbols_crc32c: checksum of header and decoded symbols, for codecs that have them.
    """

    picture: Picture
    symbols_crc32c: int | None = None


class Codec(ABC):
    """A codec without text at the encoder. ``qualities`` are its levels, coarsest first."""

    name: str
    text: TextPlacement
    qualities: tuple[int, ...]

    @abstractmethod
    def encode(self, picture: Picture, quality: int) -> Encoded:
        """Compress (H, W, 3) uint8 pixels.

        Raises:
            QualityError: ``quality`` is none of ``qualities``. LimitError: a side is too long.
        """

    @abstractmethod
    def decode(self, blob: bytes) -> Decoded:
        """Decompress.

        Raises:
            ContainerError, ModelMismatchError, CorruptStreamError, LimitError: see shared.errors.
        """

    def check_quality(self, quality: int) -> None:
        """Raise QualityError unless the codec has this level."""
        if quality not in self.qualities:
            levels = ", ".join(map(str, self.qualities))
            raise QualityError(f"{self.name} has no quality {quality}; choose one of {levels}")
