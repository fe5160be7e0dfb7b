"""What every codec is, whoever wrote it: a name, a text placement, quality levels, bytes and back.

The type tells who needs the caption. A codec whose text lives at the decoder (or nowhere) has an
``encode`` without a text parameter: the sender is blind, and the bits cannot depend on the words.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import QualityError, SidewireError
from shared.pictures import Picture, check_side

__all__ = ["Codec", "Decoded", "Encoded", "Insight", "InsightCodec", "TextPlacement"]


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
        trust: 0..1, how far the decoder followed the caption; None where no caption was read.
    """

    picture: Picture
    symbols_crc32c: int | None = None
    trust: float | None = None


@dataclass(frozen=True)
class Insight:
    """Where a stream spends its bits, and where its decoder lets the caption in.

    Attributes:
        bits: (H/16, W/16) float32, ideal code length of the latents at each place, in bits.
        masks: one (h, w) float32 in 0..1 a text block of the decoder, coarse to fine; empty for a
            decoder without text.
        trust: as in :class:`Decoded`.
    """

    bits: NDArray[np.float32]
    masks: tuple[NDArray[np.float32], ...] = ()
    trust: float | None = None


class Codec(ABC):
    """A codec without text at the encoder. ``qualities`` are its levels, coarsest first."""

    name: str
    text: TextPlacement
    qualities: tuple[int, ...]

    @property
    def default_quality(self) -> int:
        """The level for those who name none: the middle one."""
        return self.qualities[len(self.qualities) // 2]

    @abstractmethod
    def encode(self, picture: Picture, quality: int) -> Encoded:
        """Compress (H, W, 3) uint8 pixels.

        Raises:
            QualityError: ``quality`` is none of ``qualities``. LimitError: a side is too long.
        """

    @abstractmethod
    def decode(self, blob: bytes, caption: str | None = None) -> Decoded:
        """Decompress; every stream decodes without a caption, and no caption can make it fail.

        Args:
            caption: what was said of the picture; ignored by a codec whose decoder reads none.

        Raises:
            ContainerError, ModelMismatchError, CorruptStreamError, LimitError: see shared.errors.
        """

    def decode_batch(
        self, blobs: Sequence[bytes], captions: Sequence[str | None]
    ) -> list[Decoded | SidewireError]:
        """Decompress several; one that cannot be decoded is its error, and the others go on."""
        outcomes: list[Decoded | SidewireError] = []
        for blob, caption in zip(blobs, captions, strict=True):
            try:
                outcomes.append(self.decode(blob, caption))
            except SidewireError as error:
                outcomes.append(error)
        return outcomes

    def check(self, picture: Picture, quality: int) -> tuple[int, int]:
        """Height and width of a picture that may be encoded at this level.

        Raises:
            QualityError, LimitError: it may not.
        """
        height, width = picture.shape[:2]
        check_side("width", width)
        check_side("height", height)
        self.check_quality(quality)
        return height, width

    def check_quality(self, quality: int) -> None:
        """Raise QualityError unless the codec has this level."""
        if quality not in self.qualities:
            levels = ", ".join(map(str, self.qualities))
            raise QualityError(f"{self.name} has no quality {quality}; choose one of {levels}")


class InsightCodec(Codec):
    """A codec that writes containers, and can show what its streams and its decoder do.

    Attributes:
        container_codec: the codec that its containers name; several decoders may share one.
    """

    container_codec: str

    @abstractmethod
    def insight(self, blob: bytes, caption: str | None = None) -> Insight:
        """Bit map of a stream, and the masks of its decoder under a caption.

        Raises:
            SidewireError: as :meth:`Codec.decode`.
        """
