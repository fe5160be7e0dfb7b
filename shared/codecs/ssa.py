"""``ssa``: a frozen stream whose colours are left to the words, and a generator that reads them.

Qin et al., "Perceptual Image Compression with Cooperative Cross-Modal Side Information", in its
``frozen`` recipe: the sender is that of the stream and never sees text; the receiver's generator is
told the caption through SSA blocks::

    sender:    picture --luma--> stream's g_a, entropy coding --> container
    receiver:  container --> symbols --> y_hat --> G(y_hat, trust * words) --> picture
                                           |             ^
                                           '-- guard ----+---- text encoder <-- caption

``none`` is its twin: the same stream and the same generator trained without words. Either decodes the
other's containers, as any later generator of the stream will.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shared.bitstream.container import CODEC_IDS, Container, Header
from shared.codecs.base import HyperpriorCodec, open_container, shipped_bundle
from shared.codecs.hyperprior import LatentSymbols
from shared.codecs.interface import Encoded, Insight, TextPlacement
from shared.codecs.registry import codec_names, get_codec, register
from shared.codecs.stream import TILE, Pictures, StreamCodec
from shared.errors import BundleError
from shared.generator_bundle import GeneratorBundle, load_generator_bundle
from shared.networks.generator import SsaGenerator
from shared.networks.guard import Guard
from shared.networks.precision import Precision, cast_convolutions, default_precision
from shared.networks.ssa import Conditioning
from shared.networks.tiling import tiles
from shared.networks.transforms import Y_STRIDE
from shared.pictures import Picture
from shared.text.interface import TextEncoder

__all__ = ["STREAM", "SsaCodec", "ssa_codec"]

#: The name under which containers of this stream go, whichever generator decodes them.
STREAM = "ssa"
#: Places of each of the generator's masks along an edge of a latent.
MASK_FACTORS = (1, 2, 4)


class SsaCodec(StreamCodec):
    """A frozen stream with a generator of its own.

    Args:
        bundle: the generator.
        stream: the codec whose encoder and entropy model write and read the symbols.
        guard: watch for captions that do not fit, where the bundle can.
        precision: of the generator; the machine's faster one by default.

    Raises:
        BundleError: the bundle was made for another stream, or its tensors do not fit.
    """

    def __init__(
        self,
        bundle: GeneratorBundle,
        stream: HyperpriorCodec,
        *,
        guard: bool = True,
        precision: Precision | None = None,
    ) -> None:
        manifest = bundle.manifest
        if bytes.fromhex(manifest.stream_model_id)[: len(stream.model_id)] != stream.model_id:
            raise BundleError(
                f"generator {manifest.codec} decodes the stream {manifest.stream_model_id[:8]},"
                f" {manifest.stream} is {stream.model_id.hex()}"
            )
        self.name = manifest.codec
        self.container_codec = STREAM
        self.model_id = stream.model_id
        self.levels = manifest.levels
        self.qualities = tuple(range(len(manifest.levels)))
        self.text_encoder_name = manifest.text_encoder
        self.text = TextPlacement.DECODER if manifest.text_encoder else TextPlacement.NOWHERE
        self.text_width = manifest.size.text_width
        self.stream = stream
        self.device = stream.device
        self.dtype = (precision or default_precision()).dtype
        self.halo = manifest.size.receptive_radius
        generator = SsaGenerator(manifest.size)
        watcher = Guard(manifest.guard) if manifest.guard else None
        try:
            generator.load_state_dict(bundle.section("generator"))
            if watcher is not None:
                watcher.load_state_dict(bundle.section("guard"))
        except RuntimeError as error:
            raise BundleError(f"bundle {self.name}: {error}") from None
        generator.requires_grad_(False).to(self.device).to(memory_format=torch.channels_last)
        self.generator = cast_convolutions(generator, self.dtype)
        self.watcher = None
        if watcher is not None:
            self.watcher = watcher.requires_grad_(False).eval().to(self.device)
        #: Whether the guard is asked.
        self.guard = guard

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """Loaded when the first caption comes: a sender never does.

        Raises:
            TextWeightsError, UnknownTextEncoderError: it is not on this machine.
        """
        from shared.text.registry import get_text_encoder  # noqa: PLC0415

        return get_text_encoder(self.text_encoder_name, str(self.device))

    # -- sender ---------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, picture: Picture, quality: int) -> Encoded:
        """See :meth:`Codec.encode`."""
        height, width = self.check(picture, quality)
        level = self.levels[quality]
        header = Header(CODEC_IDS[STREAM], self.model_id, width, height, quality)
        container = self.stream.seal(level.prepare(picture), level.quality, header)
        return Encoded(container.to_bytes(), width, height)

    # -- receiver -------------------------------------------------------------------------------

    def open(self, blob: bytes) -> Container:
        """Parse a container and check that it is of this stream.

        Raises:
            ContainerError, LimitError, UnknownCodecError, ModelMismatchError, QualityError.
        """
        container = open_container(blob, STREAM, self.model_id)
        self.check_quality(container.header.quality)
        return container

    def _symbols(self, container: Container) -> LatentSymbols:
        return self.stream.unseal(container, self.levels[container.header.quality].quality)

    def _latents(self, symbols: LatentSymbols, header: Header) -> Tensor:
        """y_hat (1, M, ceil(H/16), ceil(W/16)) float32: what padding added is left out."""
        y_hat = self.stream.latents.reconstruct(symbols, self.levels[header.quality].quality)
        return y_hat[:, :, : -(-header.height // Y_STRIDE), : -(-header.width // Y_STRIDE)]

    def words(self, captions: Sequence[str | None], y_hat: Tensor, quality: Tensor) -> Conditioning:
        """Sentence vectors of captions, and how far the guard trusts each for these latents."""
        if self.text is TextPlacement.NOWHERE or not any(captions):
            return Conditioning(torch.zeros(len(captions), self.text_width, device=self.device))
        text = self.text_encoder.encode(captions).sentence.to(self.device)
        if self.watcher is None or not self.guard:
            return Conditioning(text)
        thumbnail = self.generator.thumbnail(y_hat, quality, self.watcher.side)
        return Conditioning(text, self.watcher(thumbnail, text))

    def read(self, blob: bytes) -> tuple[Container, Tensor]:
        """See :meth:`StreamCodec.read`."""
        container = self.open(blob)
        return container, self._latents(self._symbols(container), container.header)

    def pictures(
        self, y_hat: Tensor, quality: Tensor, captions: Sequence[str | None]
    ) -> tuple[Pictures, Sequence[float | None]]:
        """See :meth:`StreamCodec.pictures`."""
        words = self.words(captions, y_hat, quality)
        made = self.in_windows(y_hat, lambda window: self.generator(window, quality, words))
        trust = [1.0] * len(captions) if words.trust is None else words.trust.tolist()
        reads = self.text is TextPlacement.DECODER
        return made, [
            one if caption and reads else None for one, caption in zip(trust, captions, strict=True)
        ]

    @torch.inference_mode()
    def insight(self, blob: bytes, caption: str | None = None) -> Insight:
        """See :meth:`InsightCodec.insight`."""
        container = self.open(blob)
        header = container.header
        symbols = self._symbols(container)
        bits = self.stream.latents.bit_map(symbols)
        y_hat = self._latents(symbols, header)
        quality = torch.tensor([header.quality], device=self.device)
        words = self.words([caption], y_hat, quality)
        rows, columns = y_hat.shape[2:]
        masks = [np.empty((rows * factor, columns * factor), np.float32) for factor in MASK_FACTORS]
        for tile in tiles(rows, columns, TILE, self.halo + 1):
            window = y_hat[(..., *tile.window(1))]
            window = window.to(self.dtype, memory_format=torch.channels_last)
            _, found = self.generator.masked(window, quality, words)
            for factor, whole, mask in zip(MASK_FACTORS, masks, found, strict=True):
                whole[tile.target(factor)] = mask[0, 0].float().cpu().numpy()[tile.inner(factor)]
        trust = None if words.trust is None else float(words.trust[0])
        return Insight(bits[:rows, :columns], tuple(masks), trust)


def ssa_codec(folder: Path) -> SsaCodec:
    """The codec of a generator's bundle, on the shipped stream that it names.

    Raises:
        BundleError: missing, damaged, or made for another stream.
    """
    bundle = load_generator_bundle(folder)
    return SsaCodec(bundle, stream_of(bundle.manifest.stream))


def stream_of(name: str) -> HyperpriorCodec:
    """The shipped stream of that name, one copy a process.

    Raises:
        BundleError: there is none.
    """
    stream = get_codec(name) if name in codec_names() else None
    if not isinstance(stream, HyperpriorCodec):
        raise BundleError(f"no stream {name!r} is shipped, which this generator decodes")
    return stream


@register("ssa")
def ssa() -> SsaCodec:
    """The shipped generator that reads captions."""
    return ssa_codec(shipped_bundle("ssa"))


@register("none")
def none() -> SsaCodec:
    """The shipped twin that reads none."""
    return ssa_codec(shipped_bundle("none"))
