"""Halves of a codec whose streams hold words, maps and a reference: a latent of its own it has none.

One payload holds all three, on one rANS stack::

    reference's symbols | reference's level | telling                    the telling is on top, and read first
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from shared.bitstream.container import Container
from shared.bitstream.header import Header
from shared.codecs.fitting import Wanted, best_that_fits
from shared.codecs.halves import LatentDecoder, LatentEncoder, check_model
from shared.codecs.interface import (
    Decoded,
    Encoded,
    Insight,
    StreamDecoder,
    StreamEncoder,
    ToldEncoder,
)
from shared.errors import (
    SidewireError,
    SizeError,
    UnknownCodecError,
)
from shared.latents.interface import ROUNDING, LatentSymbols
from shared.painting.painter import Painter
from shared.pictures import Picture
from shared.systems.catalogue import stream_name
from shared.telling.channel import Reader, Writer, shares
from shared.telling.coder import TellingCoder
from shared.telling.teller import Teller
from shared.telling.telling import Telling

__all__ = ["Aim", "Opened", "SemanticDecoder", "SemanticEncoder", "SemanticTerms"]

#: Levels of a stream are far apart: where one fits, the next finer one may with a wider dead zone.
ZONES = (0.52, 0.54, 0.57, 0.61)


@dataclass(frozen=True)
class Aim:
    """What a level aims at.

    Attributes:
        bits_per_pixel: of the whole container, at most, where the coarsest reference lets it.
        items: items are told, with their places.
    """

    bits_per_pixel: float
    items: bool


@dataclass(frozen=True)
class SemanticTerms:
    """What both halves agree on.

    Attributes:
        name: the system's.
        stream: name of the streams; ``container_id`` is that name in headers.
        model_id: of the streams.
        aims: by level.
        coder: of words and maps.
        references: levels of the stream that references are of.
    """

    name: str
    stream: str
    container_id: int
    model_id: bytes
    aims: Mapping[int, Aim]
    coder: TellingCoder
    references: int

    def symbols(
        self, telling: Telling, level: int, reference: LatentSymbols
    ) -> tuple[NDArray[np.int16], ...]:
        """All that is coded, as the container's checksum covers it."""
        return *self.coder.symbols(telling), np.array([level], np.int16), *reference.coded

    def onto(self, payload: bytes, level: int, telling: Telling) -> bytes:
        """A reference's payload with its level and the telling on top."""
        writer = Writer()
        writer.code(self._levels, level)
        return self.coder.push(writer.onto(payload), telling)

    def off(self, payload: bytes) -> tuple[Telling, int, bytes]:
        """The inverse of :meth:`onto`.

        Raises:
            CorruptStreamError: it is nothing that :meth:`onto` writes.
        """
        telling, rest = self.coder.pull(payload)
        reader = Reader(rest)
        level = reader.code(self._levels)
        return telling, level, reader.rest()

    @cached_property
    def _levels(self) -> NDArray[np.int64]:
        return shares(np.ones(self.references, np.int64))


class SemanticEncoder(StreamEncoder, ToldEncoder):
    """Words and maps of a picture, and the best reference that a level's rate leaves room for.

    Args:
        reference: encoder of the stream that references are of.
        teller: says what is in pictures.
    """

    tellings = True

    def __init__(self, terms: SemanticTerms, reference: LatentEncoder, teller: Teller) -> None:
        self.terms, self.name, self.qualities = terms, terms.name, tuple(terms.aims)
        self.stream, self.model_id = terms.stream, terms.model_id
        self.reference, self._teller = reference, teller

    def encode_told(self, picture: Picture, quality: int, caption: str | None) -> Encoded:
        """See :meth:`ToldEncoder.encode_told`.

        Args:
            caption: the description, or a whole telling as JSON (:meth:`Telling.of_text`).

        Raises:
            TellingError: the caption is JSON, and no telling.
        """
        self.check(picture, quality)
        return self.encode_telling(picture, quality, self.told(picture, quality, caption))

    def encode_telling(self, picture: Picture, quality: int, telling: Telling) -> Encoded:
        """The same of what is told already; its maps are not asked for.

        Raises:
            QualityError, PictureError, LimitError: see :class:`ToldEncoder`.
        """
        self.check(picture, quality)
        aim = self.terms.aims[quality]
        sealed = partial(self.sealed, picture, quality, telling)
        limit = Wanted(bits_per_pixel=aim.bits_per_pixel).size_for(picture)
        assert limit is not None
        try:
            level, encoded = best_that_fits(sealed, self.reference.qualities, limit)
        except SizeError:  # of a small picture the words alone may be more
            return sealed(self.reference.qualities[0])
        finer = level + 1
        if finer in self.reference.qualities:
            for zone in ZONES:
                thinned = sealed(finer, zone)
                if len(thinned.blob) <= limit:
                    return max(thinned, encoded, key=lambda one: len(one.blob))
        return encoded

    def told(self, picture: Picture, quality: int, caption: str | None) -> Telling:
        """What a level tells of a picture; see :meth:`encode_told`."""
        return self._teller.tell(picture, caption, items=self.terms.aims[quality].items)

    @torch.inference_mode()
    def sealed(
        self,
        picture: Picture,
        quality: int,
        telling: Telling,
        level: int,
        dead_zone: float = ROUNDING,
    ) -> Encoded:
        """The stream of a telling and of a picture's reference of one level, whatever its size.

        Args:
            dead_zone: see :meth:`LatentCodec.analyse`.
        """
        height, width = picture.shape[:2]
        terms = self.terms
        header = Header(terms.container_id, terms.model_id, width, height, quality)
        reference = self.reference.symbols(picture, level, None, dead_zone)
        row = self.reference.terms.ladder[level].row

        def compress(bottom: int) -> bytes:
            payload = self.reference.latent.compress(reference, row, bottom)
            return terms.onto(payload, level, telling)

        container = Container.seal(header, terms.symbols(telling, level, reference), compress)
        return Encoded(container.to_bytes(), width, height)


@dataclass(frozen=True)
class Opened:
    """A stream that is read and verified.

    Attributes:
        telling: what is told.
        reference: symbols of the poor copy.
        header: of its stream, as if it came by itself.
        crc32c: of header and symbols.
    """

    telling: Telling
    reference: LatentSymbols
    header: Header
    crc32c: int


class SemanticDecoder(StreamDecoder):
    """Opens the reference, and has it painted as it is told.

    Nothing is loaded before a first stream comes: receivers know every stream, and most see none of these.

    Args:
        reference: makes the decoder of the stream that references are of.
        painter: makes the one who paints, of that decoder.
    """

    reads_text = False

    def __init__(
        self,
        terms: SemanticTerms,
        reference: Callable[[], LatentDecoder],
        painter: Callable[[LatentDecoder], Painter],
    ) -> None:
        self.terms, self.name, self.qualities = terms, terms.name, tuple(terms.aims)
        self.stream, self.streams, self.model_id = terms.stream, (terms.stream,), terms.model_id
        self._make_reference, self._make_painter = reference, painter

    @cached_property
    def _reference(self) -> LatentDecoder:
        return self._make_reference()

    @cached_property
    def _painter(self) -> Painter:
        return self._make_painter(self._reference)

    @property
    def text_encoder_id(self) -> str:
        """See :class:`StreamDecoder`: captions are not read, what is told is in the stream."""
        return ""

    @property
    def guarded(self) -> bool:
        """See :class:`StreamDecoder`."""
        return False

    @torch.inference_mode()
    def open(self, blob: bytes) -> Opened:
        """Read a container, and hold it against its checksum.

        Raises:
            ContainerError, LimitError: malformed. UnknownCodecError, ModelMismatchError: made by
            another codec or model. QualityError: no such level. CorruptStreamError: it is not what was coded.
        """
        container, terms = Container.from_bytes(blob), self.terms
        header = container.header
        if header.codec_id != terms.container_id:
            raise UnknownCodecError(
                f"stream of codec id {header.codec_id}; {self.name} decodes {terms.container_id}"
                f" ({stream_name(terms.container_id)})"
            )
        check_model(header, terms.model_id)
        self.check_quality(header.quality)
        telling, level, payload = terms.off(container.payload)
        own = self._reference.terms
        inner = Header(own.container_id, own.model_id, header.width, header.height, level)
        read = self._reference.contents(payload, inner)
        symbols = terms.symbols(telling, level, read.symbols)
        crc32c = container.verify(symbols, terms.model_id, read.bottom)
        return Opened(telling, read.symbols, inner, crc32c)

    def decode_batch(
        self, blobs: Sequence[bytes], captions: Sequence[str | None]
    ) -> list[Decoded | SidewireError]:
        """See :meth:`Decoder.decode_batch`: one by one, as each is told other words."""
        outcomes: list[Decoded | SidewireError] = []
        for blob in blobs:
            try:
                opened = self.open(blob)
                picture = self.painted(opened)
                outcomes.append(Decoded(picture, opened.crc32c, telling=opened.telling))
            except SidewireError as error:
                outcomes.append(error)
        return outcomes

    def reference_of(self, opened: Opened) -> Picture:
        """The poor copy by itself, (H, W, 3) uint8 of the picture's size."""
        return self._reference.picture(opened.reference, opened.header)

    def painted(self, opened: Opened, seed: int | None = None) -> Picture:
        """The picture of a stream, (H, W, 3) uint8.

        Args:
            seed: of the noise; the stream's checksum by default.
        """
        noise = opened.crc32c if seed is None else seed
        return self._painter.paint(self.reference_of(opened), opened.telling, noise)

    @torch.inference_mode()
    def insight(self, blob: bytes, caption: str | None = None) -> Insight:
        """See :meth:`StreamDecoder.insight`: bits of the reference, and the places of the items."""
        opened = self.open(blob)
        bits = self._reference.bit_map(opened.reference, opened.header)
        maps = [item.map for item in opened.telling.items if item.map is not None]
        return Insight(bits, tuple(one.astype(np.float32) for one in maps))
