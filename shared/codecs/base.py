"""``base``: a mean-scale hyperprior for every rate from 0.02 to 0.8 bits per pixel, without text.

The stream that every other system of the house builds on: its encoder and entropy model stay frozen
while generators change. Large pictures run through the transforms in windows
(:mod:`shared.networks.tiling`), so memory does not grow with the networks' width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shared.bitstream.container import CODEC_IDS, MODEL_ID_BYTES, Container, Header
from shared.bundle import Bundle, load_bundle
from shared.codecs.hyperprior import HyperpriorLatentCodec, LatentSymbols
from shared.codecs.interface import Encoded, Insight, TextPlacement
from shared.codecs.registry import register
from shared.codecs.stream import TILE, Pictures, StreamCodec
from shared.entropy.scale_branch import IntegerScaleBranch
from shared.entropy.tables import FrozenTables
from shared.errors import BundleError, ModelMismatchError, UnknownCodecError
from shared.networks.precision import (
    Precision,
    cast_convolutions,
    default_device,
    default_precision,
)
from shared.networks.tiling import tiles
from shared.networks.transforms import Y_STRIDE, Z_STRIDE, TransformSet
from shared.pictures import Picture

__all__ = ["HyperpriorCodec", "open_container", "shipped_bundle"]

#: g_a: pictures (B, 3, H, W) around zero and levels (B,) to y.
AnalysisTransform = Callable[[Tensor, Tensor], Tensor]


def shipped_bundle(name: str) -> Path:
    """Folder of a bundle that the project ships."""
    return Path(str(resources.files("weights").joinpath(name)))


def pad_to_stride(picture: Picture) -> Picture:
    """Repeat the last row and column up to multiples of :data:`Z_STRIDE` (padding rule 0)."""
    height, width = picture.shape[:2]
    down, right = -height % Z_STRIDE, -width % Z_STRIDE
    return np.pad(picture, ((0, down), (0, right), (0, 0)), mode="edge")


class HyperpriorCodec(StreamCodec):
    """A codec made from a bundle: analysis transform, latent codec, synthesis transform.

    Args:
        bundle: the trained numbers.
        precision: of the float networks; the machine's faster one by default.
        device: the GPU if there is one, by default.
    """

    text = TextPlacement.NOWHERE

    def __init__(
        self,
        bundle: Bundle,
        precision: Precision | None = None,
        device: torch.device | None = None,
    ) -> None:
        size = bundle.manifest.size
        self.name = self.container_codec = bundle.manifest.codec
        self.model_id = bytes.fromhex(bundle.manifest.model_id)[:MODEL_ID_BYTES]
        self.qualities = tuple(range(size.levels))
        self.device = device or default_device()
        self.dtype = (precision or default_precision()).dtype

        transforms = TransformSet(size)
        weights = {
            f"{part}.{name}": tensor.float()
            for part in ("g_a", "g_s", "h_a", "h_mu")
            for name, tensor in bundle.section(part).items()
        }
        try:
            transforms.load_state_dict(weights)
        except RuntimeError as error:
            raise BundleError(f"bundle {self.name}: {error}") from None
        transforms.requires_grad_(False).to(self.device).to(memory_format=torch.channels_last)
        cast_convolutions(transforms, self.dtype)
        self.g_a, self.g_s = transforms.g_a, transforms.g_s
        self.halo = size.receptive_radius
        self.latents = HyperpriorLatentCodec(
            size,
            transforms.h_a,
            transforms.h_mu,
            IntegerScaleBranch.from_tensors(bundle.section("scale")).to(self.device),
            FrozenTables.from_tensors(bundle.section("tables")),
            self.dtype,
        )

    # -- sender ---------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, picture: Picture, quality: int) -> Encoded:
        """See :meth:`Codec.encode`."""
        height, width = self.check(picture, quality)
        header = Header(CODEC_IDS[self.name], self.model_id, width, height, quality)
        return Encoded(self.seal(picture, quality, header).to_bytes(), width, height)

    def seal(
        self, picture: Picture, quality: int, header: Header, g_a: AnalysisTransform | None = None
    ) -> Container:
        """A picture's symbols at a level of this stream, coded below a header that names them.

        Args:
            g_a: another analysis transform than the stream's own.
        """
        symbols = self.latents.analyse(self.analysis(picture, quality, g_a), quality)
        payload = self.latents.compress(symbols, quality)
        return Container.seal(header, payload, (symbols.z, symbols.y))

    def analysis(
        self, picture: Picture, quality: int, g_a: AnalysisTransform | None = None
    ) -> Tensor:
        """y of a picture, (1, M, H/16, W/16) in the codec's dtype, H and W padded."""
        transform = g_a or self.g_a
        padded = pad_to_stride(picture)
        rows, columns = padded.shape[0] // Y_STRIDE, padded.shape[1] // Y_STRIDE
        level = torch.tensor([quality], device=self.device)
        y = torch.empty(
            (1, self.latents.size.latent, rows, columns), dtype=self.dtype, device=self.device
        )
        for tile in tiles(rows, columns, TILE, self.halo):
            pixels = torch.from_numpy(padded[tile.window(Y_STRIDE)]).to(self.device)
            x = pixels.permute(2, 0, 1)[None].to(torch.float32).div_(255).sub_(0.5)
            x = x.to(self.dtype, memory_format=torch.channels_last)
            y[(..., *tile.target(1))] = transform(x, level)[(..., *tile.inner(1))]
        return y

    # -- receiver -------------------------------------------------------------------------------

    def open(self, blob: bytes) -> Container:
        """Parse a container and check that this model may decode it.

        Raises:
            ContainerError, LimitError: malformed. UnknownCodecError, ModelMismatchError: made by
            another codec or model. QualityError: no such level.
        """
        container = open_container(blob, self.name, self.model_id)
        self.check_quality(container.header.quality)
        return container

    def unseal(self, container: Container, quality: int) -> LatentSymbols:
        """The symbols of a container, at a level of this stream, held against its checksum.

        Raises:
            CorruptStreamError: they are not what was coded.
        """
        header = container.header
        rows, columns = -(-header.height // Z_STRIDE), -(-header.width // Z_STRIDE)
        symbols = self.latents.decompress(container.payload, quality, rows, columns)
        container.verify((symbols.z, symbols.y))
        return symbols

    def read(self, blob: bytes) -> tuple[Container, Tensor]:
        """See :meth:`StreamCodec.read`."""
        container = self.open(blob)
        quality = container.header.quality
        return container, self.latents.reconstruct(self.unseal(container, quality), quality)

    def pictures(
        self, y_hat: Tensor, quality: Tensor, captions: Sequence[str | None]
    ) -> tuple[Pictures, Sequence[float | None]]:
        """See :meth:`StreamCodec.pictures`; captions are not read."""
        made = self.in_windows(y_hat, lambda window: self.g_s(window, quality))
        return made, [None] * len(captions)

    def insight(self, blob: bytes, caption: str | None = None) -> Insight:
        """See :meth:`InsightCodec.insight`."""
        container = self.open(blob)
        symbols = self.unseal(container, container.header.quality)
        return Insight(self.latents.bit_map(symbols))


def open_container(blob: bytes, codec: str, model_id: bytes) -> Container:
    """Parse a container and check that it is of this codec and model.

    Raises:
        ContainerError, LimitError: malformed. UnknownCodecError, ModelMismatchError: made by
        another codec or model.
    """
    container = Container.from_bytes(blob)
    header = container.header
    if header.codec_id != CODEC_IDS[codec]:
        raise UnknownCodecError(
            f"stream of codec id {header.codec_id}; this is {codec}, {CODEC_IDS[codec]}"
        )
    if header.model_id != model_id:
        raise ModelMismatchError(
            f"stream of model {header.model_id.hex()}; this bundle is {model_id.hex()}:"
            " decode it with the bundle that made it"
        )
    return container


@register("base")
def base() -> HyperpriorCodec:
    """The shipped bundle."""
    return HyperpriorCodec(load_bundle(shipped_bundle("base")))
