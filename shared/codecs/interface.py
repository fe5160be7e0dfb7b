"""What codecs are, in halves: an encoder, or one that is told the caption, and a decoder.

Blindness is a type: an :class:`Encoder` has no parameter that words could come in by, so the bits of a codec
whose text lives at the decoder, or nowhere, cannot depend on them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shared.errors import QualityError, SidewireError
from shared.pictures import Picture, check_picture
from shared.systems.catalogue import TextPlacement
from shared.telling.telling import Telling

__all__ = [
    "AnyEncoder",
    "Codec",
    "Decoded",
    "Decoder",
    "Encoded",
    "Encoder",
    "Insight",
    "StreamDecoder",
    "StreamEncoder",
    "TextPlacement",
    "ToldEncoder",
    "encode",
]


@dataclass(frozen=True)
class Encoded:
    """A picture as bytes, and how many of them are the rate.

    Attributes:
        uncounted: bytes of the blob that are not its format's own: 0 but for formats that leave the
            picture's size to who shows it, whose blobs bring it along.
    """

    blob: bytes
    width: int
    height: int
    uncounted: int = 0

    @property
    def counted(self) -> int:
        """The rate in bytes: the whole blob, but for what is not its format's own."""
        return len(self.blob) - self.uncounted

    @property
    def bits_per_pixel(self) -> float:
        """Real bits of the counted bytes, a pixel of the true picture."""
        return 8 * self.counted / (self.width * self.height)


@dataclass(frozen=True)
class Decoded:
    """A picture again.

    Attributes:
        picture: (H, W, 3) uint8.
        symbols_crc32c: checksum of header and decoded symbols, for codecs that have them.
        trust: 0..1, how far the decoder followed the caption; None where no caption was read.
        telling: what the stream itself tells of the picture; None for streams that tell nothing.
    """

    picture: Picture
    symbols_crc32c: int | None = None
    trust: float | None = None
    telling: Telling | None = None


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


class Levelled(ABC):
    """A half of a codec. ``qualities`` are its levels, coarsest first."""

    name: str
    qualities: tuple[int, ...]

    @property
    def default_quality(self) -> int:
        """The level for those who name none: the middle one."""
        return self.qualities[len(self.qualities) // 2]

    def check(self, picture: Picture, quality: int) -> tuple[int, int]:
        """Height and width of a picture that may be encoded at this level.

        Raises:
            PictureError, LimitError, QualityError: it may not.
        """
        height, width = check_picture(picture)
        self.check_quality(quality)
        return height, width

    def check_quality(self, quality: int) -> None:
        """Raise QualityError unless the codec has this level."""
        if quality not in self.qualities:
            levels = ", ".join(map(str, self.qualities))
            raise QualityError(f"{self.name} has no quality {quality}; choose one of {levels}")


class Encoder(Levelled):
    """Pictures to bytes, without words."""

    @abstractmethod
    def encode(self, picture: Picture, quality: int) -> Encoded:
        """Compress (H, W, 3) uint8 pixels.

        Raises:
            QualityError: ``quality`` is none of ``qualities``.
            PictureError, LimitError: see :func:`shared.pictures.check_picture`.
        """


class ToldEncoder(Levelled):
    """Pictures and what is said of them to bytes."""

    @abstractmethod
    def encode_told(self, picture: Picture, quality: int, caption: str | None) -> Encoded:
        """Compress (H, W, 3) uint8 pixels; without a caption, as if nothing was said.

        Raises:
            QualityError: ``quality`` is none of ``qualities``.
            PictureError, LimitError: see :func:`shared.pictures.check_picture`.
        """


class StreamEncoder(Levelled):
    """A half that writes containers.

    Attributes:
        stream: the name of the streams that it writes.
        model_id: in their headers.
        tellings: it is told captions, and whole tellings as JSON, too.
    """

    stream: str
    model_id: bytes
    tellings = False


AnyEncoder = Encoder | ToldEncoder


def encode(encoder: AnyEncoder, picture: Picture, quality: int, caption: str | None) -> Encoded:
    """Compress with the caption at hand; it goes no further than a blind encoder's type.

    Raises:
        QualityError, PictureError, LimitError: see :class:`Encoder`.
    """
    if isinstance(encoder, ToldEncoder):
        return encoder.encode_told(picture, quality, caption)
    return encoder.encode(picture, quality)


class Decoder(Levelled):
    """Bytes, and perhaps what is said of the picture, to pictures.

    Attributes:
        reads_text: a caption can change its pictures.
    """

    reads_text: bool

    @abstractmethod
    def decode_batch(
        self, blobs: Sequence[bytes], captions: Sequence[str | None]
    ) -> list[Decoded | SidewireError]:
        """Decompress several; one that cannot be decoded is its error, and the others go on.

        Every stream decodes without a caption, and no caption can make it fail; a decoder that reads
        none ignores it. Errors are ContainerError, ModelMismatchError, CorruptStreamError, LimitError.
        """

    def caption_note(self, caption: str | None, language: str = "") -> str:
        """What a decoder's text encoder could not make of a caption; empty where all is well or none is read.

        Args:
            language: BCP 47 tag that came with the caption; empty where unknown.
        """
        return ""

    def decode(self, blob: bytes, caption: str | None = None) -> Decoded:
        """Decompress one.

        Raises:
            SidewireError: as in :meth:`decode_batch`.
        """
        (outcome,) = self.decode_batch([blob], [caption])
        if isinstance(outcome, SidewireError):
            raise outcome
        return outcome


class StreamDecoder(Decoder):
    """A decoder of containers, which can show what a stream and it do.

    Attributes:
        stream: the name of the streams that it is for; several decoders may share one.
        streams: all that it decodes: that one, and the one that its system stands on.
        model_id: of the containers that it takes.
        text_encoder_id: of the encoder whose vectors it reads; empty where it reads none. Asking loads it.
        guarded: it has a guard against captions that do not fit.
    """

    stream: str
    streams: tuple[str, ...]
    model_id: bytes

    @property
    @abstractmethod
    def text_encoder_id(self) -> str:
        """See the class."""

    @property
    @abstractmethod
    def guarded(self) -> bool:
        """See the class."""

    @abstractmethod
    def insight(self, blob: bytes, caption: str | None = None) -> Insight:
        """Bit map of a stream, and the masks of its decoder under a caption.

        Raises:
            SidewireError: as :meth:`Decoder.decode_batch`.
        """


class Codec:
    """Both halves of a codec in one process, each built when it is first used.

    Args:
        text: who reads the caption.
        encoder, decoder: build the halves.
    """

    def __init__(
        self,
        name: str,
        text: TextPlacement,
        encoder: Callable[[], AnyEncoder],
        decoder: Callable[[], Decoder],
    ) -> None:
        self.name, self.text = name, text
        self._encoder, self._decoder = encoder, decoder

    @cached_property
    def encoder(self) -> AnyEncoder:
        """The half of a sender.

        Raises:
            BundleError: its weights are missing or damaged.
        """
        return self._encoder()

    @cached_property
    def decoder(self) -> Decoder:
        """The half of a receiver.

        Raises:
            BundleError: its weights are missing or damaged.
        """
        return self._decoder()

    @property
    def qualities(self) -> tuple[int, ...]:
        """Its levels, coarsest first."""
        return self.encoder.qualities

    @property
    def default_quality(self) -> int:
        """The level for those who name none."""
        return self.encoder.default_quality

    def encode(self, picture: Picture, quality: int) -> Encoded:
        """Compress (H, W, 3) uint8 pixels, as if nothing was said of them; see :class:`Encoder`."""
        return encode(self.encoder, picture, quality, None)

    def decode(self, blob: bytes, caption: str | None = None) -> Decoded:
        """Decompress; see :class:`Decoder`."""
        return self.decoder.decode(blob, caption)
