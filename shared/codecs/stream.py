"""Decoding of containers: symbols are read one by one, and pictures of one size share a network's passes."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.bitstream.container import Container
from shared.codecs.interface import Decoded, InsightCodec
from shared.errors import SidewireError
from shared.networks.tiling import tiles
from shared.networks.transforms import Y_STRIDE

__all__ = ["TILE", "Pictures", "StreamCodec"]

#: Tiles of the transforms, in latents (a side of 1024 pixels).
TILE = 64
#: Latents in one pass: bounds a network's memory, whatever the batch. On a CPU, more than a 768x512
#: picture's leave its caches, and are slower than one picture at a time.
GPU_PASS_LATENTS, CPU_PASS_LATENTS = 4 * TILE * TILE, TILE * TILE // 2

#: (B, H, W, 3) uint8.
Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream whose symbols are read and verified: its place in the batch, and y_hat (1, M, h, w)."""

    place: int
    container: Container
    latents: Tensor


class StreamCodec(InsightCodec):
    """A codec of containers, whose pictures are one network's.

    Attributes:
        model_id: of the containers that it takes.
        device, dtype: of the network.
        halo: latents around a tile that its pixels depend on.
    """

    model_id: bytes
    device: torch.device
    dtype: torch.dtype
    halo: int

    @abstractmethod
    def read(self, blob: bytes) -> tuple[Container, Tensor]:
        """A container, and its y_hat (1, M, h, w) float32.

        Raises:
            ContainerError, LimitError, UnknownCodecError, ModelMismatchError, QualityError,
            CorruptStreamError: it cannot be decoded here.
        """

    @abstractmethod
    def pictures(
        self, y_hat: Tensor, quality: Tensor, captions: Sequence[str | None]
    ) -> tuple[Pictures, Sequence[float | None]]:
        """Pictures (B, 16h, 16w, 3) of y_hat (B, M, h, w) at levels (B,), and how far each followed its
        caption, see :class:`Decoded`."""

    def decode(self, blob: bytes, caption: str | None = None) -> Decoded:
        """See :meth:`Codec.decode`."""
        (outcome,) = self.decode_batch([blob], [caption])
        if isinstance(outcome, SidewireError):
            raise outcome
        return outcome

    @torch.inference_mode()
    def decode_batch(
        self, blobs: Sequence[bytes], captions: Sequence[str | None]
    ) -> list[Decoded | SidewireError]:
        """See :meth:`Codec.decode_batch`; pictures of one size share the network's passes."""
        outcomes: dict[int, Decoded | SidewireError] = {}
        opened: list[Opened] = []
        for place, blob in enumerate(blobs):
            try:
                opened.append(Opened(place, *self.read(blob)))
            except SidewireError as error:
                outcomes[place] = error
        limit = CPU_PASS_LATENTS if self.device.type == "cpu" else GPU_PASS_LATENTS
        for part in _passes(opened, limit):
            y_hat = torch.cat([one.latents for one in part])
            levels = [one.container.header.quality for one in part]
            quality = torch.tensor(levels, device=self.device)
            pictures, trust = self.pictures(y_hat, quality, [captions[one.place] for one in part])
            for one, picture, followed in zip(part, pictures, trust, strict=True):
                header = one.container.header
                cut = np.ascontiguousarray(picture[: header.height, : header.width])
                outcomes[one.place] = Decoded(cut, one.container.crc32c, followed)
        return [outcomes[place] for place in range(len(blobs))]

    def in_windows(self, y_hat: Tensor, network: Callable[[Tensor], Tensor]) -> Pictures:
        """A network's pictures of y_hat (B, M, h, w), tile by tile: memory does not grow with the size."""
        count, _, rows, columns = y_hat.shape
        pictures = np.empty((count, rows * Y_STRIDE, columns * Y_STRIDE, 3), np.uint8)
        for tile in tiles(rows, columns, TILE, self.halo):
            window = y_hat[(..., *tile.window(1))]
            x = network(window.to(self.dtype, memory_format=torch.channels_last))
            pixels = pixels_of(x[(..., *tile.inner(Y_STRIDE))])
            pictures[(slice(None), *tile.target(Y_STRIDE))] = pixels
        return pictures


def pixels_of(x: Tensor) -> Pictures:
    """Network output (B, 3, H, W) around zero -> (B, H, W, 3) uint8 pixels."""
    pixels = x.float().add_(0.5).mul_(255).round_().clamp_(0, 255).to(torch.uint8)
    array: Pictures = pixels.permute(0, 2, 3, 1).cpu().numpy()
    return array


def _passes(opened: Sequence[Opened], limit: int) -> Iterator[Sequence[Opened]]:
    sizes: dict[tuple[int, int], list[Opened]] = defaultdict(list)
    for one in opened:
        sizes[one.container.header.height, one.container.header.width].append(one)
    for group in sizes.values():
        rows, columns = group[0].latents.shape[2:]
        fit = max(1, limit // min(rows * columns, TILE * TILE))
        for start in range(0, len(group), fit):
            yield group[start : start + fit]
