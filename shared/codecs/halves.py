"""The halves of a system whose pictures pass a latent codec: encoders, blind and told, and the decoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.bitstream.container import Container
from shared.bitstream.header import Header
from shared.codecs.interface import (
    Decoded,
    Encoded,
    Encoder,
    Insight,
    StreamDecoder,
    StreamEncoder,
    ToldEncoder,
)
from shared.codecs.ladder import Ladder, Rung
from shared.codecs.parts import Parts
from shared.errors import ModelMismatchError, QualityError, SidewireError, UnknownCodecError
from shared.latents.interface import ROUNDING, Contents, LatentSymbols
from shared.networks.packed import pack_convolutions
from shared.networks.precision import ready
from shared.networks.stages import Conditioning
from shared.networks.tiling import Tile, tiles
from shared.networks.transforms import Y_STRIDE, Z_STRIDE, Synthesis
from shared.pictures import Picture, check_picture
from shared.systems.catalogue import stream_name
from shared.text.interface import TextEncoder

__all__ = ["TILE", "LatentDecoder", "LatentEncoder", "Terms", "ToldLatentEncoder", "check_model"]

#: Tiles of the transforms, in latents (a side of 1024 pixels).
TILE = 64
#: Latents in one pass: bounds a network's memory, whatever the batch. On a CPU, more than a 768x512
#: picture's leave its caches, and are slower than one picture at a time.
GPU_PASS_LATENTS, CPU_PASS_LATENTS = 4 * TILE * TILE, TILE * TILE // 2

#: (B, H, W, 3) uint8.
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Terms:
    """What both halves of a system agree on, and where one of them runs.

    Attributes:
        name: the system's.
        stream: name of the streams; ``container_id`` is that name in headers.
        model_id: first bytes of the model's id.
        ladder: the levels, coarsest first.
        opened: by their container ids, the streams that are decoded, each with the ladder that its levels
            are numbered on: the own one, and where a system stands on another stream, that one, too.
        text_encoder: as :func:`shared.text.registry.get_text_encoder` takes it; empty where no words
            are read.
        device, dtype: of the float networks.
    """

    name: str
    stream: str
    container_id: int
    model_id: bytes
    ladder: Ladder
    opened: Mapping[int, Ladder]
    text_encoder: str
    device: torch.device
    dtype: torch.dtype


class Ear:
    """Captions to what networks are given of them; the text encoder is loaded with the first caption.

    Args:
        name: the text encoder's; empty where no words are read.
        widths: of the sentence vectors and of the words that the networks read; 0 for none.
    """

    def __init__(self, name: str, device: torch.device, widths: tuple[int, int]) -> None:
        self._name, self._device = name, device
        self._sentence, self._word = widths

    @cached_property
    def encoder(self) -> TextEncoder | None:
        """The text encoder; None where no words are read.

        Raises:
            TextWeightsError, UnknownTextEncoderError: it is not on this machine.
        """
        if not self._name:
            return None
        from shared.text.registry import get_text_encoder  # noqa: PLC0415

        return get_text_encoder(self._name, str(self._device))

    def hear(self, captions: Sequence[str | None]) -> Conditioning | None:
        """What is said, fully trusted; zeros without words, and None for networks that read none."""
        if not self._sentence:
            return None
        if not any(captions) or self.encoder is None:
            count, device = len(captions), self._device
            text = torch.zeros(count, self._sentence, device=device)
            if not self._word:
                return Conditioning(text)
            tokens = torch.zeros(count, 1, self._word, device=device)
            return Conditioning(text, None, tokens, tokens[..., 0] != 0)
        features = self.encoder.encode(captions)
        text = features.sentence.to(self._device)
        if not self._word:
            return Conditioning(text)
        tokens, mask = features.tokens.to(self._device), features.mask.to(self._device)
        return Conditioning(text, None, tokens, mask)


class LatentEncoder(StreamEncoder, Encoder):
    """g_a and the latent codec's encoding side.

    Args:
        parts: loaded as far as an encoder needs; pictures never see g_s.
    """

    def __init__(self, terms: Terms, parts: Parts) -> None:
        self.terms, self.name, self.qualities = terms, terms.name, tuple(terms.ladder.plain)
        self.stream, self.model_id = terms.stream, terms.model_id
        self.g_a = ready(parts.g_a, terms.device, terms.dtype)
        self.latent = parts.latent
        self.latent.ready(terms.device, terms.dtype)
        for network in (self.g_a, self.latent):
            pack_convolutions(network)
        widths = (parts.text_width, parts.token_width) if self.g_a.at else (0, 0)
        self.ear = Ear(terms.text_encoder, terms.device, widths)

    def encode(self, picture: Picture, quality: int) -> Encoded:
        """See :meth:`Encoder.encode`."""
        self.check(picture, quality)
        return self._sealed(picture, quality, None)

    @property
    def default_quality(self) -> int:
        """See :class:`Encoder`."""
        return self.terms.ladder.default

    def encode_at(self, picture: Picture, level: int, dead_zone: float = ROUNDING) -> Encoded:
        """Compress at any level of the ladder, preview levels among them; see :meth:`Encoder.encode`.

        Args:
            dead_zone: see :meth:`LatentCodec.analyse`.
        """
        return self._sealed(picture, level, None, dead_zone)

    @torch.inference_mode()
    def _sealed(
        self, picture: Picture, level: int, caption: str | None, dead_zone: float = ROUNDING
    ) -> Encoded:
        height, width = check_picture(picture)
        header = Header(self.terms.container_id, self.terms.model_id, width, height, level)
        symbols = self.symbols(picture, level, caption, dead_zone)
        compress = partial(self.latent.compress, symbols, self.terms.ladder[level].row)
        return Encoded(Container.seal(header, symbols.coded, compress).to_bytes(), width, height)

    def symbols(
        self,
        picture: Picture,
        level: int,
        caption: str | None = None,
        dead_zone: float = ROUNDING,
    ) -> LatentSymbols:
        """What is coded of a picture."""
        given = self.ear.hear([caption])
        y = self._analysis(picture, level, given)
        row = self.terms.ladder[level].row
        text = None if given is None else given.text
        symbols: LatentSymbols = self.latent.analyse(y, row, dead_zone, text)
        return symbols

    @torch.inference_mode()
    def analysis(self, picture: Picture, level: int, caption: str | None = None) -> Tensor:
        """y of what a level codes of a picture, (1, M, H/16, W/16) in the codec's dtype, H and W padded."""
        return self._analysis(picture, level, self.ear.hear([caption]))

    def _analysis(self, picture: Picture, level: int, given: Conditioning | None) -> Tensor:
        rung = self.terms.ladder[level]
        padded = pad_to_stride(rung.reduced(picture))
        rows, columns = padded.shape[0] // Y_STRIDE, padded.shape[1] // Y_STRIDE
        quality = torch.tensor([rung.row], device=self.terms.device)
        y: Tensor | None = None
        for tile in tiles(rows, columns, TILE, self.g_a.halo):
            pixels = torch.from_numpy(padded[tile.window(Y_STRIDE)]).to(self.terms.device)
            x = pixels.permute(2, 0, 1)[None].to(torch.float32).div_(255).sub_(0.5)
            x = x.to(self.terms.dtype, memory_format=torch.channels_last)
            part = self.g_a(x, quality, given)[(..., *tile.inner(1))]
            if y is None:
                y = part.new_empty((1, part.shape[1], rows, columns))
            y[(..., *tile.target(1))] = part
        assert y is not None, "a picture has a pixel at least"
        return y


class ToldLatentEncoder(LatentEncoder, ToldEncoder):
    """The same with words: what is said of a picture reaches the conditioners of g_a."""

    def encode_told(self, picture: Picture, quality: int, caption: str | None) -> Encoded:
        """See :meth:`ToldEncoder.encode_told`."""
        self.check(picture, quality)
        return self._sealed(picture, quality, caption)


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream whose symbols are read and verified.

    Attributes:
        place: in the batch.
        crc32c: of header and symbols.
        rung: its level.
    """

    place: int
    header: Header
    crc32c: int
    rung: Rung
    symbols: LatentSymbols


class LatentDecoder(StreamDecoder):
    """The latent codec's decoding side, and g_s with what is attached to it.

    Symbols are read one by one; pictures of one size share the networks' passes.

    Args:
        parts: loaded as far as a decoder needs.
        guard: ask the guard about captions, where there is one.
    """

    def __init__(self, terms: Terms, parts: Parts, *, guard: bool = True) -> None:
        self.terms, self.name, self.qualities = terms, terms.name, tuple(terms.ladder.plain)
        self.stream, self.model_id = terms.stream, terms.model_id
        self.streams = tuple(map(stream_name, terms.opened))
        self.reads_text = bool(terms.text_encoder)
        self.latent = parts.latent
        self.latent.ready(terms.device, terms.dtype)
        self.g_s = ready(parts.g_s, terms.device, terms.dtype)
        for network in (self.latent, self.g_s):
            pack_convolutions(network)
        self.guard, self._guarding = parts.guard, guard
        if self.guard is not None:
            self.guard.requires_grad_(False).eval().to(terms.device)
        self.ear = Ear(terms.text_encoder, terms.device, (parts.text_width, parts.token_width))

    @property
    def text_encoder_id(self) -> str:
        """See :class:`StreamDecoder`."""
        return "" if self.ear.encoder is None else self.ear.encoder.id

    def caption_note(self, caption: str | None, language: str = "") -> str:
        """See :meth:`Decoder.caption_note`."""
        if not caption or self.ear.encoder is None:
            return ""
        return self.ear.encoder.encode([caption], [language]).notes[0].in_words

    @property
    def guarded(self) -> bool:
        """See :class:`StreamDecoder`."""
        return self.guard is not None

    def open(self, blob: bytes) -> Container:
        """Parse a container and check that it may be decoded here.

        Raises:
            ContainerError, LimitError: malformed. UnknownCodecError, ModelMismatchError: made by
            another codec or model. QualityError: no such level.
        """
        container = Container.from_bytes(blob)
        header, terms = container.header, self.terms
        if header.codec_id not in terms.opened:
            known = " and ".join(f"{one} ({stream_name(one)})" for one in terms.opened)
            raise UnknownCodecError(
                f"stream of codec id {header.codec_id}; {self.name} decodes {known}"
            )
        check_model(header, terms.model_id)
        self.rung(header)
        return container

    def rung(self, header: Header) -> Rung:
        """The level of a stream.

        Raises:
            QualityError: this decoder has none of that number.
        """
        rung = self.terms.opened[header.codec_id][header.quality]
        if rung.row >= len(self.qualities):
            raise QualityError(
                f"level {header.quality} of {stream_name(header.codec_id)} is beyond the lowest"
                f" {len(self.qualities)}, which are all that {self.name} decodes"
            )
        return rung

    @torch.inference_mode()
    def contents(self, payload: bytes, header: Header) -> Contents[LatentSymbols]:
        """What a payload holds under a header, held against nothing yet.

        Raises:
            QualityError: no such level. CorruptStreamError: no encoder writes it.
        """
        rung = self.rung(header)
        rows, columns = blocks_of(header, rung)
        read: Contents[LatentSymbols] = self.latent.decompress(payload, rung.row, rows, columns)
        return read

    @torch.inference_mode()
    def symbols(self, container: Container) -> tuple[LatentSymbols, int]:
        """The symbols of a container, held against its checksum, and the CRC32C of header and symbols.

        Raises:
            CorruptStreamError: they are not what was coded.
        """
        read = self.contents(container.payload, container.header)
        crc32c = container.verify(read.symbols.coded, self.terms.model_id, read.bottom)
        return read.symbols, crc32c

    @torch.inference_mode()
    def picture(self, symbols: LatentSymbols, header: Header) -> Picture:
        """What is shown of some symbols where nothing is said, (H, W, 3) uint8 of the header's size."""
        rung = self.rung(header)
        y_hat = self.latent.reconstruct([symbols], [rung.row])
        painted, _ = self.painted(y_hat, [rung.row], [None], rung.scale)
        return rung.enlarged(painted[0], header.height, header.width)

    def bit_map(self, symbols: LatentSymbols, header: Header) -> NDArray[np.float32]:
        """Ideal code length at each place of what is coded of the true picture, in bits."""
        height, width = self.rung(header).coded(header.height, header.width)
        bits: NDArray[np.float32] = self.latent.bit_map(symbols)
        return bits[: -(-height // Y_STRIDE), : -(-width // Y_STRIDE)]

    def given(
        self, captions: Sequence[str | None], y_hat: Tensor, quality: Tensor
    ) -> Conditioning | None:
        """Sentence vectors, and how far the guard trusts each for these latents."""
        given = self.ear.hear(captions)
        if given is None:
            return None
        if self.guard is None or not self._guarding or not self.reads_text or not any(captions):
            return given
        assert isinstance(self.g_s, Synthesis), "a guard looks at a linear path"
        thumbnail = self.g_s.thumbnail(y_hat, quality, self.guard.side)
        return replace(given, trust=self.guard(thumbnail, given.text, quality))

    @torch.inference_mode()
    def decode_batch(
        self, blobs: Sequence[bytes], captions: Sequence[str | None]
    ) -> list[Decoded | SidewireError]:
        """See :meth:`Decoder.decode_batch`."""
        outcomes: dict[int, Decoded | SidewireError] = {}
        opened: list[Opened] = []
        for place, blob in enumerate(blobs):
            try:
                container = self.open(blob)
                header = container.header
                symbols, crc32c = self.symbols(container)
                opened.append(Opened(place, header, crc32c, self.rung(header), symbols))
            except SidewireError as error:
                outcomes[place] = error
        limit = CPU_PASS_LATENTS if self.terms.device.type == "cpu" else GPU_PASS_LATENTS
        for part in _passes(opened, limit):
            rows = [one.rung.row for one in part]
            y_hat = self.latent.reconstruct([one.symbols for one in part], rows)
            told = [captions[one.place] for one in part]
            painted, trust = self.painted(y_hat, rows, told, part[0].rung.scale)
            for one, paint, followed in zip(part, painted, trust, strict=True):
                picture = one.rung.enlarged(paint, one.header.height, one.header.width)
                outcomes[one.place] = Decoded(picture, one.crc32c, followed)
        return [outcomes[place] for place in range(len(blobs))]

    def painted(
        self, y_hat: Tensor, levels: Sequence[int], captions: Sequence[str | None], scale: int
    ) -> tuple[Pictures, Sequence[float | None]]:
        """Pictures (B, 16h * scale, 16w * scale, 3) of y_hat (B, M, h, w), and how far words were followed.

        They are painted tile by tile: networks' memory does not grow with the size.
        """
        quality = torch.tensor(levels, device=self.terms.device)
        given = self.given(captions, y_hat, quality)
        count, _, rows, columns = y_hat.shape
        stride = Y_STRIDE * scale
        made = np.empty((count, rows * stride, columns * stride, 3), np.uint8)
        for tile, window in self._windows(y_hat, self.g_s.halo, TILE // scale):
            pixels = pixels_of(self.g_s(window, quality, given, scale)[(..., *tile.inner(stride))])
            made[(slice(None), *tile.target(stride))] = pixels
        trust = [1.0] * count
        if given is not None and given.trust is not None:
            trust = given.trust.tolist()
        return made, [
            one if caption and self.reads_text else None
            for one, caption in zip(trust, captions, strict=True)
        ]

    def _windows(self, y_hat: Tensor, halo: int, side: int = TILE) -> Iterator[tuple[Tile, Tensor]]:
        rows, columns = y_hat.shape[2:]
        for tile in tiles(rows, columns, side, halo):
            window = y_hat[(..., *tile.window(1))]
            yield tile, window.to(self.terms.dtype, memory_format=torch.channels_last)

    @torch.inference_mode()
    def insight(self, blob: bytes, caption: str | None = None) -> Insight:
        """See :meth:`StreamDecoder.insight`."""
        container = self.open(blob)
        symbols, _ = self.symbols(container)
        header = container.header
        rung = self.rung(header)
        y_hat = self.latent.reconstruct([symbols], [rung.row])
        rows, columns = y_hat.shape[2:]
        bits = self.bit_map(symbols, header)
        quality = torch.tensor([rung.row], device=self.terms.device)
        given = self.given([caption], y_hat, quality)
        if given is None:
            return Insight(bits)
        masks: list[NDArray[np.float32]] = []
        factors: list[int] = []
        # A mask sees one place more than the features that it changes.
        for tile, window in self._windows(y_hat, self.g_s.halo + 1):
            _, found = self.g_s.masked(window, quality, given)
            if not masks:
                factors = [mask.shape[2] // window.shape[2] for mask in found]
                masks = [np.empty((rows * f, columns * f), np.float32) for f in factors]
            for factor, whole, mask in zip(factors, masks, found, strict=True):
                whole[tile.target(factor)] = mask[0, 0].float().cpu().numpy()[tile.inner(factor)]
        trust = None if given.trust is None else float(given.trust[0])
        shown = (
            whole[: bits.shape[0] * f, : bits.shape[1] * f]
            for whole, f in zip(masks, factors, strict=True)
        )
        return Insight(bits, tuple(shown), trust)


def check_model(header: Header, model_id: bytes) -> None:
    """Raise ModelMismatchError unless a stream is of the model with this id."""
    if not header.is_of(model_id):
        raise ModelMismatchError(
            f"stream of model {header.model_id.hex()}; this bundle is {model_id.hex()}:"
            " decode it with the bundle that made it"
        )


def pad_to_stride(picture: Picture) -> Picture:
    """Repeat the last row and column up to multiples of :data:`Z_STRIDE` (padding rule 0)."""
    height, width = picture.shape[:2]
    down, right = -height % Z_STRIDE, -width % Z_STRIDE
    return np.pad(picture, ((0, down), (0, right), (0, 0)), mode="edge")


def pixels_of(x: Tensor) -> Pictures:
    """Network output (B, 3, H, W) around zero -> (B, H, W, 3) uint8 pixels."""
    pixels = x.float().add_(0.5).mul_(255).round_().clamp_(0, 255).to(torch.uint8)
    array: Pictures = pixels.permute(0, 2, 3, 1).cpu().numpy()
    return array


def blocks_of(header: Header, rung: Rung) -> tuple[int, int]:
    """Rows and columns of z in a stream."""
    height, width = rung.coded(header.height, header.width)
    return -(-height // Z_STRIDE), -(-width // Z_STRIDE)


def _passes(opened: Sequence[Opened], limit: int) -> Iterator[Sequence[Opened]]:
    alike: dict[tuple[tuple[int, int], int], list[Opened]] = defaultdict(list)
    for one in opened:
        alike[blocks_of(one.header, one.rung), one.rung.scale].append(one)
    for ((rows, columns), scale), group in alike.items():
        latents = rows * columns * (Z_STRIDE // Y_STRIDE) ** 2
        fit = max(1, limit // min(latents * scale**2, TILE * TILE))
        for start in range(0, len(group), fit):
            yield group[start : start + fit]
